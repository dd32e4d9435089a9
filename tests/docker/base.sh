#!/usr/bin/env bash
# Makes the base image NAME of the tests, Debian with Python, where no image registry can be reached.
#
#     tests/docker/base.sh NAME
#
# It takes the host's own release of Debian, which must have Python 3.11 to 3.13, from debootstrap's default mirror.
set -euo pipefail

fail() { # fail MESSAGE REMEDY
	echo "error: $1; remedy: $2" >&2
	exit 2
}

[ $# -eq 1 ] || fail "an image has one name, but $# were given" "tests/docker/base.sh NAME"
[ "$(id -u)" -eq 0 ] || fail "only root can make the files of an image" "run this as root"
command -v debootstrap >/dev/null || fail "debootstrap is missing" "apt-get install debootstrap"
suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
[ -n "$suite" ] || fail "/etc/os-release names no VERSION_CODENAME" "run this on Debian, or give the tests another image"

root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

# The authorities that this host trusts: behind a proxy of its own, pip in a build would trust nobody otherwise.
bundle=/etc/ssl/certs/ca-certificates.crt
cp --dereference "${SSL_CERT_FILE:-$bundle}" "$root$bundle"

# PATH is what the Dockerfiles put their own folder before.
tar --create --numeric-owner --one-file-system --directory "$root" . | docker import \
	--change "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8" \
	--change "ENV PIP_CERT=$bundle SSL_CERT_FILE=$bundle REQUESTS_CA_BUNDLE=$bundle" \
	--change 'CMD ["python3"]' \
	- "$1"
