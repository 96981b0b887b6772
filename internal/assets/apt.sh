#!/bin/sh
# Installs Debian packages that the tests need, when this user may.
set -eu
if ! command -v apt-get >/dev/null; then
	echo "make test needs $*: install it with this system's package manager." >&2
	exit 1
elif [ "$(id -u)" = 0 ]; then
	run=
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	run='sudo -n'
else
	echo "make test needs $*: run \`sudo apt-get install $*\` and try again." >&2
	exit 1
fi
echo "Installing $* from Debian's packages."
$run apt-get update -qq
$run env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
