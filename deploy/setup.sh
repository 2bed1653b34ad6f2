#!/bin/sh
# Installs what is missing to run, test or bench claimrush, and nothing else.
#
#   deploy/setup.sh [run|test|bench]     (default: run)
#
#   run     redis-server 7 or newer, a C compiler and make (SQLite and the allocator are built from source)
#   test    the same, PostgreSQL, openssl, python3 and node for the tests of the
#           documented ways to mint a ticket, Prometheus for those of its rules, and chromium, node and npm for those of the claim
#           page, and schemathesis (from PyPI, in a folder of its own) for those of the OpenAPI document: the tests bring their
#           own servers up
#   bench   also the peers that the bench compares with: webdis, node and npm, wrk
#
# Knows apt, dnf, apk and brew. Says what it will install before it does; does nothing where all is there. A
# Redis service that a distribution would start by itself is not started: claimrush starts its own.
set -eu

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() {
  command -v "$1" >/dev/null 2>&1 || case $1 in
    initdb) have_versioned_initdb ;;
    # Fedora calls it so.
    chromium) command -v chromium-browser >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

# Distributions and Homebrew keep the programs of PostgreSQL servers by version, off the path.
POSTGRES_DIR=${POSTGRES_DIR:-/usr/lib/postgresql}
have_versioned_initdb() {
  for program in "$POSTGRES_DIR"/*/bin/initdb "${HOMEBREW_PREFIX:-/nowhere}"/opt/postgresql@*/bin/initdb; do
    if [ -x "$program" ]; then return 0; fi
  done
  return 1
}

purpose=${1:-run}
case $purpose in
  run | test | bench) ;;
  *) say "unknown purpose '$purpose'; one of: run, test, bench"; exit 2 ;;
esac

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

# --- Rust: never installed from here, because the choice of how is the user's -----------------------------------

check_rust() {
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
  if ! have cargo || ! have rustc; then
    say "Rust is missing: claimrush needs cargo and rustc $wanted or newer."
    say "Get it from https://rustup.rs (curl --proto '=https' -sSf https://sh.rustup.rs | sh) or from your"
    fail "distribution where that is new enough, then run this again."
  fi
  found=$(rustc --version | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
  if ! at_least "$found" "$wanted"; then
    fail "rustc $found is too old: claimrush needs $wanted or newer (rustup update stable)."
  fi
}

# at_least FOUND WANTED: compares MAJOR.MINOR as numbers.
at_least() {
  [ "${1%%.*}" -gt "${2%%.*}" ] || { [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${1#*.}" -ge "${2#*.}" ]; }
}

# --- What is missing --------------------------------------------------------------------------------------------

# The package that brings a command, by manager; empty where the manager has none.
package_of() {
  case $manager:$1 in
    apt:cc) echo gcc libc6-dev ;;
    dnf:cc) echo gcc ;;
    apk:cc) echo build-base ;;
    brew:cc) ;; # comes with Apple's command line tools: xcode-select --install
    apt:redis-server) echo redis-server ;;
    dnf:redis-server) if dnf -q list redis >/dev/null 2>&1; then echo redis; else echo valkey-compat-redis; fi ;;
    *:redis-server) echo redis ;;
    apt:initdb) echo postgresql ;;
    dnf:initdb) echo postgresql-server ;;
    apk:initdb) echo postgresql ;;
    brew:initdb) echo postgresql@17 ;;
    dnf:npm) echo nodejs-npm ;;
    # With a font that has Chinese, for the pictures that the tests keep.
    apt:chromium) echo chromium fonts-wqy-microhei ;;
    brew:chromium) ;; # a cask, which is not installed for a test
    brew:node | brew:npm) echo node ;;
    *:node) echo nodejs ;;
    dnf:prometheus | dnf:promtool) echo golang-github-prometheus ;;
    *:promtool) echo prometheus ;;
    dnf:webdis | apk:webdis) ;;
    *) echo "$1" ;;
  esac
}

find_manager() {
  for manager in apt dnf apk brew; do
    case $manager in
      apt) if have apt-get; then return; fi ;;
      *) if have "$manager"; then return; fi ;;
    esac
  done
  manager=none
}

missing_commands() {
  for wanted_command in "$@"; do
    if ! have "$wanted_command"; then printf '%s ' "$wanted_command"; fi
  done
}

# --- Installing -------------------------------------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    fail "needs root and there is no sudo; run as root: $*"
  fi
}

# Debian starts a service as soon as its package is installed, unless this file says no. One that is there
# already is the administrator's word and stays.
POLICY=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
policy_is_ours=no

forbid_service_starts() {
  if [ -e "$POLICY" ]; then return; fi
  policy_is_ours=yes
  trap allow_service_starts EXIT
  trap 'exit 1' HUP INT TERM
  as_root sh -c "printf '#!/bin/sh\nexit 101\n' > $POLICY && chmod 755 $POLICY"
}

allow_service_starts() {
  if [ "$policy_is_ours" = yes ]; then as_root rm -f "$POLICY"; fi
  policy_is_ours=no
}

# keep_service_down COMMAND: the service of a command that this script brought in is kept from the next boot too.
keep_service_down() {
  if ! have systemctl || [ ! -d /run/systemd/system ]; then return; fi
  case $1 in
    redis-server) services='redis-server redis valkey' ;;
    initdb) services=postgresql ;;
    prometheus | promtool) services=prometheus ;;
    webdis) services=webdis ;;
    *) return ;;
  esac
  for service in $services; do
    if systemctl is-enabled --quiet "$service.service" 2>/dev/null; then
      as_root systemctl disable --quiet --now "$service.service"
    fi
  done
}

lists_are_fresh=no

install_packages() {
  case $manager in
    apt)
      forbid_service_starts
      if [ "$lists_are_fresh" = no ]; then as_root apt-get -qq update; fi
      lists_are_fresh=yes
      installed=yes
      as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >&2 || installed=no
      allow_service_starts
      [ "$installed" = yes ] ;;
    dnf) as_root dnf -q install -y "$@" >&2 ;;
    apk) as_root apk add --quiet --no-progress "$@" >&2 ;;
    brew) brew install --quiet "$@" >&2 ;;
  esac
}

# install COMMAND…: the packages that bring them, after saying so. What no package brings stays missing.
install() {
  find_manager
  if [ "$manager" = none ]; then fail "found none of apt, dnf, apk, brew; please install by hand: $*"; fi
  packages=''
  for wanted_command in "$@"; do
    # A command may come from several packages, and several commands from one.
    for package in $(package_of "$wanted_command"); do
      case " $packages " in
        *" $package "*) ;;
        *) packages="$packages $package" ;;
      esac
    done
  done
  if [ -z "$packages" ]; then return; fi
  say "missing: $*; installing with $manager:$packages"
  # shellcheck disable=SC2086  # package names have no blanks: splitting them is what is meant
  install_packages $packages || say "$manager could not install:$packages"
  for wanted_command in "$@"; do keep_service_down "$wanted_command"; done
}

check_redis() {
  found=$(redis-server --version | sed 's/.*v=\([0-9]*\.[0-9]*\).*/\1/')
  if ! at_least "$found" 7.0; then
    fail "redis-server $found is too old: 7.0 or newer is needed. See https://redis.io/docs/latest/operate/oss_and_stack/install/"
  fi
}

# provide COMMAND…: installs what is missing of them and leaves in $missing what could not be had.
provide() {
  missing=$(missing_commands "$@")
  if [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # command names have no blanks
    install $missing
    missing=$(missing_commands "$@")
  fi
}

# A program of Python's, in a folder of its own among the user's caches: nothing of the system's is touched.
SCHEMATHESIS_DIR=${SCHEMATHESIS_DIR:-${XDG_CACHE_HOME:-${HOME:-/nowhere}/.cache}/claimrush/schemathesis}
SCHEMATHESIS=schemathesis==4.32.5

provide_schemathesis() {
  if [ -x "$SCHEMATHESIS_DIR/bin/schemathesis" ] || ! have python3; then return; fi
  say "missing: schemathesis; installing $SCHEMATHESIS from PyPI into $SCHEMATHESIS_DIR"
  # Debian keeps venv in a package of its own.
  if ! python3 -m venv "$SCHEMATHESIS_DIR" >/dev/null 2>&1; then
    find_manager
    if [ "$manager" = apt ]; then install_packages python3-venv || :; fi
  fi
  if ! { python3 -m venv "$SCHEMATHESIS_DIR" && "$SCHEMATHESIS_DIR/bin/pip" -q install "$SCHEMATHESIS"; } >&2; then
    say "schemathesis is not to be had here; the tests leave out what needs it"
  fi
}

check_rust

provide cc make redis-server
if [ -n "$missing" ]; then fail "still missing: $missing"; fi
check_redis

if [ "$purpose" = test ]; then
  provide initdb
  if [ -n "$missing" ]; then fail "still missing: PostgreSQL (initdb)"; fi
  for tool in openssl python3 node prometheus promtool npm chromium; do
    # In a shell of its own: one test's tool is no reason to run no test at all.
    if ! have "$tool"; then (provide "$tool") || :; fi
    if ! have "$tool"; then say "$tool is not to be had here; the tests leave out what needs it"; fi
  done
  provide_schemathesis
fi

if [ "$purpose" = bench ]; then
  # One at a time: a package that cannot be had must not keep the others out, and some bring node and npm as one.
  for peer in webdis wrk node npm; do
    provide "$peer"
    if [ -n "$missing" ]; then say "$peer is not to be had here; the bench leaves its row out"; fi
  done
fi
