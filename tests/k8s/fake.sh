#!/usr/bin/env bash
# Stands for kind, kubectl, docker, make and hopline: writes down how it was called, and does as the test says.
#
# The folder HOPLINE_FAKES holds `rules`: lines of words that a call has, an exit code, what it prints, and `sleep` if it
# is to take a minute, divided by "|"; the first that fits counts.  kind's clusters are in the file `clusters`.
set -euo pipefail
call="${0##*/} $*"
read=
[[ $call != *"--filename -"* ]] || read=$(cat)
printf '%s|%s|%s\n' "$call" "${KUBECONFIG:-}" "$read" >>"$HOPLINE_FAKES/calls"

fits() { # whether the call has all these words
	local word
	for word in $1; do
		[[ $call == *"$word"* ]] || return 1
	done
}

while IFS='|' read -r words code said sleep; do
	if fits "$words"; then
		[ -z "$said" ] || echo -e "$said"
		[ "$code" = 0 ] || echo "${0##*/}: told to fail" >&2
		[ -z "$sleep" ] || exec sleep 60
		exit "$code"
	fi
done <"$HOPLINE_FAKES/rules"

clusters=$HOPLINE_FAKES/clusters
case $call in
"kind create cluster"*) echo hopline >"$clusters" ;;
"kind delete cluster"*) rm -f "$clusters" ;;
"kind get clusters") cat "$clusters" 2>/dev/null || true ;;
*port-forward*)
	port=${call##* }
	exec python3 -c "import socket, sys
server = socket.create_server(('127.0.0.1', int(sys.argv[1])))
while True:
    server.accept()[0].close()" "${port%:*}" port-forward
	;;
esac
