#!/usr/bin/env bash
# Seen on 2026-11-28 with systemd 252 (Debian 12).
#
# Behaviour: `systemd-analyze verify` passes a unit whose `LoadCredential=` and `EnvironmentFile=`
# name files that do not exist, although such a unit fails at its start (systemd.exec(5)). It does
# check the program of `ExecStart=`.
# Output seen: "missing credential and environment file: exit code 0, no words", "missing program:
# exit code 1".
# Expected: a warning at least, as for the missing program.
# Hurts: operators whose deployment runs `verify` as its check: the service then fails at the
# start. Test the files yourself: `test -s FILE`.
# Exits 1 if the behaviour changes.
set -euo pipefail
command -v systemd-analyze >/dev/null || { echo "needs systemd-analyze: apt-get install -y systemd" >&2; exit 2; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
write() { printf '[Unit]\nDescription=demo\n[Service]\nExecStart=%s\n%s\n' "$2" "${3:-}" > "$folder/$1.service"; }
write files /bin/true "LoadCredential=key:$folder/no/key
EnvironmentFile=$folder/no/environment"
write program "$folder/no/program"
files=0; words=$(systemd-analyze verify "$folder/files.service" 2>&1) || files=$?
program=0; systemd-analyze verify "$folder/program.service" >/dev/null 2>&1 || program=$?
echo "missing credential and environment file: exit code $files, ${words:-no words}"
echo "missing program: exit code $program"
[ "$files" = 0 ] && [ -z "$words" ] && [ "$program" != 0 ]
