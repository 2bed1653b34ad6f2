#!/bin/sh
# What people who only look do to those who claim: claims alone, beside page and state traffic, and beside the same traffic sent to a
# bare echo server, which says what sharing the machine with it costs by itself; in turn; `make bench-page`.
#
#   CLAIMS=N    claims a second (default: 5000), an open model: nobody waits for anybody
#   LOOKS=N     requests a second beside them (default: 20000), half for the page, half for a drop's state
#   FLOOD=N     instead of those: as many as are answered, over N connections
#   ROUNDS=N    rounds of each (default: 7)   SPAN=S   seconds of each (default: 8)
#   BENCH_PAGE_OUT=DIR   where everything goes (default: bench-out/page; what an earlier bench left there is removed first)
#
# Prints a table, and the change of the claims' p99 by its medians. Whoever looks has a machine of their own outside of a bench: their
# generators take only the CPU that is left (SCHED_IDLE), those of a flood a smaller share (nice).
set -eu

cd -- "$(dirname -- "$0")/.."
out=${BENCH_PAGE_OUT:-bench-out/page}
claims=${CLAIMS:-5000}
looks=${LOOKS:-20000}
flood=${FLOOD:-}
rounds=${ROUNDS:-7}
span=${SPAN:-8}
service_bin=${SERVICE_BIN:-target/release/claimrush}
loadtest_bin=${LOADTEST_BIN:-target/release/claimrush-loadtest}
data=$out/data
service_pid=''
echo_pid=''

fail() { echo "bench-page: $*" >&2; exit 1; }

clean_up() {
  status=$?
  trap - EXIT HUP INT TERM
  for pid in $echo_pid $service_pid; do
    if kill "$pid" 2>/dev/null; then wait "$pid" 2>/dev/null || :; fi
  done
  exit "$status"
}

# field KEY FILE: the first value of a key in a JSON file.
field() {
  tr '{},' '[\n*]' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\"]*\)\"\{0,1\}[[:space:]]*\$/\1/p" |
    head -n 1
}

# scenario NAME METHOD PATH RATE: a file of a constant rate, or of a flood, beside what the shipped ones say of themselves.
scenario() {
  connections=256
  arrivals="profile = \"constant\"
rate = $4"
  if [ -n "$flood" ] && [ "$1" != claims ]; then
    connections=$((flood / 2))
    arrivals='profile = "closed"'
  fi
  cat >"$out/$1.toml" <<END
name = "$1"
about = "Requests of one kind, $2 $3"
[service]
method = "$2"
claim_path = "$3"
[[drop]]
id = "bench"
[arrivals]
$arrivals
duration = "${span}s"
[connections]
count = $connections
[tickets]
source = "mint"
key_file = "$data/ticket.key"
[[persona]]
kind = "honest"
retries = 0
END
}

# load NAME RUN TARGET: in the background.
load() {
  name=$1 run=$2 target=$3
  set --
  if [ "$name" != claims ]; then set -- chrt --idle 0; fi
  if [ "$name" != claims ] && [ -n "$flood" ]; then set -- nice -n 10; fi
  "$@" "$loadtest_bin" run "$out/$name.toml" --target "http://$target" --admin "http://$admin" --quiet --plain --threads 1 \
    --out "$out/$run-$name" --set "tickets.prefix=$run-" >"$out/$run-$name.txt" 2>&1 &
}

for binary in "$service_bin" "$loadtest_bin"; do
  if [ ! -x "$binary" ]; then fail "$binary is not built; run: make bench-page"; fi
done
# Only what a bench has left is removed: every one writes this file first.
mark=$out/.bench-page
if [ -e "$out" ] && [ ! -e "$mark" ] && [ -n "$(ls -A -- "$out")" ]; then
  fail "$out is not empty, and no earlier bench has left what is there; name another folder with BENCH_PAGE_OUT=DIR"
fi
rm -rf -- "$out"
mkdir -p -- "$out"
: >"$mark"
trap clean_up EXIT
trap 'exit 130' HUP INT TERM

"$service_bin" serve --data "$data" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 >"$out/service.log" 2>&1 &
service_pid=$!
waited=0
until "$service_bin" campaign list --data "$data" >/dev/null 2>&1; do
  kill -0 "$service_pid" 2>/dev/null || fail "the service ended while starting: $(tail -n 1 "$out/service.log")"
  if [ "$waited" -ge 300 ]; then fail "the service was not ready within 30 s"; fi
  sleep 0.1
  waited=$((waited + 1))
done
listen=$(field listen "$data/run.json")
admin=$(field admin_listen "$data/run.json")
cat >"$out/campaign.toml" <<END
id = "bench"
name = "bench"
budget = "40000000.00 CNY"
time_zone = "Asia/Shanghai"
[[drop]]
id = "bench"
opens_at = "2023-11-20T10:00:00+08:00"
closes_at = "2033-11-20T10:00:00+08:00"
stock = 4000000
limit_per_person = 1
voucher = { face = "10.00", threshold = "50.00", valid_for = "7d" }
END
"$service_bin" campaign apply "$out/campaign.toml" --data "$data" >"$out/campaign.txt" 2>&1 || fail "$(cat "$out/campaign.txt")"

scenario claims POST "/v1/drops/{drop}/claims" "$claims"
scenario page GET "/d/{drop}" "$((looks / 2))"
scenario state GET "/v1/drops/{drop}" "$((looks / 2))"

"$loadtest_bin" peer echo --listen 127.0.0.1:0 --threads 2 >"$out/echo.log" 2>&1 &
echo_pid=$!
waited=0
until echo_at=$(sed -n 's/.* \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$out/echo.log") && [ -n "$echo_at" ]; do
  if [ "$waited" -ge 100 ]; then fail "the echo server was not ready within 10 s: $(tail -n 1 "$out/echo.log")"; fi
  sleep 0.1
  waited=$((waited + 1))
done

round=0
while [ "$round" -lt "$rounds" ]; do
  round=$((round + 1))
  # In turn, and in turn also which comes first: the machine is never the same for long.
  case $((round % 3)) in
    1) order='alone elsewhere beside' ;;
    2) order='beside alone elsewhere' ;;
    *) order='elsewhere beside alone' ;;
  esac
  for kind in $order; do
    load claims "$round-$kind" "$listen"
    claims_pid=$!
    at=$listen
    if [ "$kind" = elsewhere ]; then at=$echo_at; fi
    if [ "$kind" != alone ]; then
      load page "$round-$kind" "$at"
      page_pid=$!
      load state "$round-$kind" "$at"
      wait "$!" "$page_pid" || :
    fi
    wait "$claims_pid" || :
  done
done

node - "$out" "$rounds" <<'END'
const [out, rounds] = process.argv.slice(2);
const invalid = new Map();
const read = (round, kind, name) => {
  const results = JSON.parse(require("fs").readFileSync(`${out}/${round}-${kind}-${name}/results.json`, "utf8"));
  for (const why of results.verdict.invalid_because) invalid.set(`round ${round}, ${kind}, ${name}`, why);
  return results;
};
// A copy, since Debian 12's node has no toSorted.
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const names = { alone: "claims alone", elsewhere: "beside the same requests to an echo server", beside: "beside page and state" };
const rows = { alone: [], elsewhere: [], beside: [] };
for (let round = 1; round <= rounds; round += 1) {
  for (const kind of Object.keys(rows)) {
    const claims = read(round, kind, "claims").total;
    const looks = kind === "alone" ? [] : ["page", "state"].map((name) => read(round, kind, name).total);
    const times = claims.granted_times.response;
    rows[kind].push({
      claims: claims.granted_per_s,
      p50: times.p50_ms,
      p99: times.p99_ms,
      refused: claims.answers - claims.granted,
      looks: looks.reduce((sum, part) => sum + part.answers_per_s, 0),
      looks99: Math.max(0, ...looks.map((part) => part.times.response.p99_ms)),
    });
  }
}
const show = (kind, key) => median(rows[kind].map((row) => row[key]));
console.log("| | claims/s | p50 | p99, each round | p99 | refused | looks/s | their p99 |");
console.log("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |");
for (const kind of Object.keys(rows)) {
  const each = rows[kind].map((row) => row.p99.toFixed(1)).join(", ");
  const cells = [show(kind, "claims").toFixed(0), `${show(kind, "p50").toFixed(1)} ms`, `${each} ms`, `${show(kind, "p99").toFixed(1)} ms`];
  console.log(`| ${names[kind]} | ${cells.join(" | ")} | ${show(kind, "refused")} | ${show(kind, "looks").toFixed(0)} | ${show(kind, "looks99").toFixed(1)} ms |`);
}
const change = (than) => (100 * (show("beside", "p99") / show(than, "p99") - 1)).toFixed(0);
for (const [run, why] of invalid) console.log(`${run}: says nothing of the service: ${why}`);
console.log(`\nThe claims' p99 changes by ${change("alone")} % (target: at most 20 %); against the same requests elsewhere on the machine by ${change("elsewhere")} %.`);
END
