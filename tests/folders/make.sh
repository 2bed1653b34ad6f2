#!/bin/sh
# Makes a data folder as a claimrush leaves it that is killed in the middle, for tests/old_folders.rs:
#
#   tests/folders/make.sh target/release/claimrush tests/folders/schema-11-rules-2.tar.gz
#
# To be run with the last binary of a schema, or of a version, before the next one is begun. Needs curl, redis-cli and tar. The
# folder's keys are of this folder alone.
set -eu
claimrush=$(realpath "$1") archive=$(realpath "$2")
work=$(mktemp -d)
cd "$work"
data=data
service=
trap 'kill -9 $service 2>/dev/null || true; redis shutdown nosave 2>/dev/null || true; rm -rf "$work"' EXIT

cat >campaign.toml <<'END'
id = "old"
name = "彩云"
budget = "1000.00 CNY"
time_zone = "Asia/Shanghai"
[[drop]]
id = "one"
opens_at = "2024-01-01T00:00:00+08:00"
closes_at = "2099-01-01T00:00:00+08:00"
stock = 40
limit_per_person = 1
voucher = { face = "1.00", threshold = "5.00", valid_for = "3650d" }
[[drop]]
id = "two"
opens_at = "2024-01-01T00:00:00+08:00"
closes_at = "2099-01-01T00:00:00+08:00"
stock = 9
limit_per_person = 2
voucher = { face = "2.00", threshold = "5.00", valid_for = "3650d" }
END

redis() { redis-cli -s "$work/$data/redis/redis.sock" "$@"; }

serve() {
  rm -f "$data/run.json"
  "$claimrush" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --data "$data" "$@" >>log 2>&1 &
  service=$!
  until [ -e "$data/run.json" ]; do sleep 0.1; done
}

drained() { until [ "$(redis xlen 'cr:{s0}:journal')" = 0 ]; do sleep 0.1; done; }

# claim DROP PERSON KEY: notes drop, person, key, claim and voucher code.
claim() {
  ticket=$("$claimrush" ticket mint --data "$data" --drop "$1" --user "$2")
  listen=$(sed -n 's/.*"listen": "\(.*\)",/\1/p' "$data/run.json" | head -n 1)
  answer=$(curl -fsS -X POST -H "authorization: Bearer $ticket" -H "idempotency-key: $3" \
    "http://$listen/v1/drops/$1/claims")
  echo "$answer" | sed "s/.*\"claim_id\":\"\([^\"]*\)\".*\"voucher\":\"\([^\"]*\)\".*/$1 $2 $3 \1 \2/" >>"$data/told"
}

serve
"$claimrush" campaign apply campaign.toml --data "$data"
for n in 1 2 3 4 5; do claim one "p-$n" k; done
claim two twice k1
claim two twice k2
drained
redis flushall
sleep 1
"$claimrush" recover --apply --accept-loss --data "$data"
for n in 6 7 8; do claim one "p-$n" k; done
drained
kill -TERM "$service"
wait "$service"
serve --no-drain
claim one p-9 k
kill -9 "$service"
pid=$(redis info server | sed -n 's/process_id:\([0-9]*\).*/\1/p')
kill -9 "$pid"
rm -rf "$data/run.json" "$data/lock" "$data/redis/redis.log" "$data"/redis/*.sock
tar -czf "$archive" --owner=0 --group=0 --numeric-owner -C "$data" .
ls -l "$archive"
