#!/bin/sh
# A rush from end to end, proven by an audit; `make demo` builds what it needs and calls it.
#
#   KEEP=1            leave the service running and print where it is; its claim page lets you be any person of the rush
#   DEMO_OUT=DIR      where everything goes (default: demo-out; emptied first)
#   PEOPLE=N          how many rush (default: 100000)
#   LATECOMERS=N      how many come after it is sold out (default: 150000)
#   CONNECTIONS=N     how many connections they share (default: 256)
#
# Exit 0 only if the service came back from its kill, every voucher found one owner and every promise holds.
set -eu

cd -- "$(dirname -- "$0")/.."
out=${DEMO_OUT:-demo-out}
people=${PEOPLE:-100000}
latecomers=${LATECOMERS:-150000}
connections=${CONNECTIONS:-256}
service_bin=${SERVICE_BIN:-target/release/claimrush}
loadtest_bin=${LOADTEST_BIN:-target/release/claimrush-loadtest}

campaign_file=deploy/campaigns/caiyun-2023.toml
drop=caiyun-100-25
stock=40000
# The service is killed when this many people have been told "yours".
kill_after=$((stock / 3))
data=$out/data

service_pid=''
rush_pid=''

# --- Saying things ----------------------------------------------------------------------------------------------

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  bold=$(printf '\033[1m') dim=$(printf '\033[2m') red=$(printf '\033[31m') plain=$(printf '\033[0m')
else
  bold='' dim='' red='' plain=''
fi

heading() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
row() { printf '  %-24s %s\n' "$1" "$2"; }
indented() { sed 's/^/  /' "$1"; }

fail() {
  printf '\n%sThe demo failed: %s%s\n' "$red$bold" "$*" "$plain" >&2
  if [ -n "$service_pid" ] && [ -s "$out/service.log" ]; then
    printf '%sThe last lines of %s:%s\n' "$dim" "$out/service.log" "$plain" >&2
    tail -n 8 "$out/service.log" >&2
  fi
  exit 1
}

# thousands 1234567: 1,234,567
thousands() { printf '%s\n' "$1" | sed -e :again -e 's/^\([0-9][0-9]*\)\([0-9]\{3\}\)/\1,\2/' -e t\ again; }

# Milliseconds where `date` knows them, whole seconds as milliseconds elsewhere.
now_ms() {
  case $(date +%3N) in
    [0-9][0-9][0-9]) date +%s%3N ;;
    *) echo "$(date +%s)000" ;;
  esac
}

# since MS: the seconds gone by, as in 1.234 s
since() {
  gone=$(($(now_ms) - $1))
  printf '%d.%03d s' $((gone / 1000)) $((gone % 1000))
}

# field KEY FILE: the first value of a key in a JSON file, as far as this script needs one.
field() {
  tr '{},' '[\n*]' <"$2" | sed -n "s/^[[:space:]]*\"$1\"[[:space:]]*:[[:space:]]*\"\{0,1\}\([^\"]*\)\"\{0,1\}[[:space:]]*\$/\1/p" |
    head -n 1
}

lines_of() { if [ -e "$1" ]; then wc -l <"$1" | tr -d ' '; else echo 0; fi; }

# --- Starting and ending ----------------------------------------------------------------------------------------

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# end PID: asks it to end and waits; kills it when it does not.
end() {
  if ! alive "$1"; then return; fi
  kill "$1" 2>/dev/null || return 0
  waited=0
  while alive "$1" && [ "$waited" -lt 150 ]; do
    sleep 0.1
    waited=$((waited + 1))
  done
  if alive "$1"; then kill -9 "$1" 2>/dev/null || true; fi
}

# Only what this script started is ended: by its process id, and the redis-server by the one that the service noted.
clean_up() {
  status=$?
  trap - EXIT HUP INT TERM
  end "$rush_pid"
  if [ "${KEEP:-}" = 1 ] && [ "$status" -eq 0 ]; then exit 0; fi
  end "$service_pid"
  if [ -e "$data/run.json" ]; then end "$(field redis_pid "$data/run.json")"; fi
  exit "$status"
}

# start_service LISTEN ADMIN_LISTEN: starts it and waits until it takes commands.
start_service() {
  "$service_bin" serve --data "$data" --listen "$1" --admin-listen "$2" ${KEEP:+--demo} >>"$out/service.log" 2>&1 &
  service_pid=$!
  waited=0
  until "$service_bin" campaign list --data "$data" >/dev/null 2>&1; do
    if ! alive "$service_pid"; then fail "the service ended while starting"; fi
    if [ "$waited" -ge 300 ]; then fail "the service was not ready within 30 s"; fi
    sleep 0.1
    waited=$((waited + 1))
  done
}

# mint COUNT PREFIX FILE
mint() {
  "$service_bin" ticket mint --data "$data" --drop "$drop" --count "$1" --prefix "$2" --out "$3" \
    >>"$out/service.log" 2>&1 || fail "no tickets could be minted"
}

# --- The rush ---------------------------------------------------------------------------------------------------

for binary in "$service_bin" "$loadtest_bin"; do
  if [ ! -x "$binary" ]; then fail "$binary is not built; run: make demo"; fi
done
if [ -e "$data/run.json" ] && alive "$(field pid "$data/run.json")"; then
  fail "a service of an earlier demo still runs on $data; end it first: kill $(field pid "$data/run.json")"
fi
rm -rf -- "$out"
mkdir -p -- "$out"
trap clean_up EXIT
trap 'exit 130' HUP INT TERM
demo_began=$(now_ms)

heading "1  The service"
began=$(now_ms)
start_service 127.0.0.1:0 127.0.0.1:0
listen=$(field listen "$data/run.json")
admin_listen=$(field admin_listen "$data/run.json")
row "claims" "http://$listen"
row "admin" "http://$admin_listen"
row "data" "$data"
row "ready in" "$(since "$began"), with a redis-server of its own"

heading "2  The campaign"
"$service_bin" campaign apply "$campaign_file" --data "$data" --opens-at +5 >"$out/campaign.txt" 2>&1 ||
  fail "the campaign was refused: $(cat "$out/campaign.txt")"
applied=$(now_ms)
indented "$out/campaign.txt"
row "opens" "5 s from now, by an explicit flag; the file says 10:00"

heading "3  The people"
mint "$people" person- "$out/people.tickets"
mint "$latecomers" latecomer- "$out/latecomers.tickets"
row "at the door" "$(thousands "$people") with a ticket each, for $(thousands "$stock") vouchers of $drop"
row "after them" "$(thousands "$latecomers") latecomers"
while [ $(($(now_ms) - applied)) -lt 5000 ]; do sleep 0.05; done

heading "4  The rush, with a kill -9 in the middle"
claims_log=$out/claims.log
"$loadtest_bin" rush --target "http://$listen" --drop "$drop" --tickets "$out/people.tickets" \
  --connections "$connections" --duration 60 --retry-unknown --retry-busy --quiet \
  --claims-log "$claims_log" --json "$out/rush.json" --name rush >"$out/rush.txt" 2>"$out/rush.log" &
rush_pid=$!
while [ "$(lines_of "$claims_log")" -lt "$kill_after" ]; do
  if ! alive "$rush_pid"; then fail "the rush ended before the kill: $(cat "$out/rush.txt" "$out/rush.log")"; fi
  sleep 0.05
done
seen=$(lines_of "$claims_log")
kill -9 "$service_pid"
# The shell's own word on the killed job is not wanted on the screen.
wait "$service_pid" 2>/dev/null || true
killed=$(now_ms)
row "killed" "process $service_pid, when some $(thousands "$seen") people held a voucher"
start_service "$listen" "$admin_listen"
back=$(now_ms)
row "back" "after $(since "$killed"), on the same data and addresses"
rush_status=0
wait "$rush_pid" || rush_status=$?
rush_pid=''
rush_ended=$(now_ms)
indented "$out/rush.txt"
if [ "$rush_status" -ne 0 ]; then fail "the rush ended with exit $rush_status: $(tail -n 1 "$out/rush.log")"; fi

heading "5  In the ledger"
rows=0
while :; do
  "$service_bin" ledger export --data "$data" --drop "$drop" --format csv >"$out/ledger.csv" 2>>"$out/service.log" ||
    fail "the ledger could not be exported"
  rows=$(($(lines_of "$out/ledger.csv") - 1))
  if [ "$rows" -ge "$stock" ]; then break; fi
  if [ $(($(now_ms) - rush_ended)) -gt 10000 ]; then fail "only $rows of $stock claims are durable 10 s after the rush"; fi
  sleep 0.05
done
if [ "$rows" -gt "$stock" ]; then fail "oversold: $rows rows for $stock vouchers"; fi
row "durable" "all $(thousands "$rows") claims, $(since "$rush_ended") after the rush ended"
row "exported" "$out/ledger.csv"

heading "6  Sold out"
"$loadtest_bin" rush --target "http://$listen" --drop "$drop" --tickets "$out/latecomers.tickets" \
  --connections "$connections" --duration 30 --quiet --json "$out/sold-out.json" --name latecomers >"$out/sold-out.txt" 2>"$out/sold-out.log" ||
  fail "the latecomers' rush failed: $(tail -n 1 "$out/sold-out.txt" "$out/sold-out.log")"
indented "$out/sold-out.txt"

heading "7  The audit"
audit_status=0
"$service_bin" audit --data "$data" --claims-log "$claims_log" >"$out/audit.txt" 2>&1 || audit_status=$?
indented "$out/audit.txt"
"$service_bin" audit --data "$data" --claims-log "$claims_log" --json >"$out/audit.json" 2>>"$out/service.log" ||
  audit_status=$?

"$loadtest_bin" report "$out/rush.json" "$out/sold-out.json" --audit "$out/audit.json" \
  --mark "$killed=kill -9" --mark "$back=back" --title "A rush on $drop" --out "$out/report.html" >>"$out/service.log" 2>&1 || fail "the report could not be written"

if [ "$audit_status" -ne 0 ]; then fail "the audit found a broken promise (exit $audit_status)"; fi

if [ "${KEEP:-}" = 1 ]; then
  heading "Still running, as asked"
  row "claim page" "http://$listen"
  row "metrics" "http://$admin_listen/metrics"
  row "admin token" "$data/admin.token"
  row "end it with" "kill $service_pid"
else
  began=$(now_ms)
  kill "$service_pid"
  stop_status=0
  wait "$service_pid" || stop_status=$?
  if [ "$stop_status" -ne 0 ]; then fail "the service stopped with exit $stop_status"; fi
  service_pid=''
  heading "Stopped"
  row "cleanly" "in $(since "$began")"
fi

heading "Every promise holds. It took $(since "$demo_began")."
row "to look at" "$out/report.html"
