#!/usr/bin/env bash
# Starts Sallyport and the example shop, says where they are, and stops both
# with Ctrl-C. Ports that are taken are stepped over.
set -euo pipefail
cd "$(dirname "$0")/.."

free_port() { # the first port from $1 on that nobody listens on
	local port=$1
	while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
		port=$((port + 1))
	done
	echo "$port"
}

server_port=$(free_port 8080)
shop_port=$(free_port 3000)
export SALLYPORT_LISTEN=${SALLYPORT_LISTEN:-127.0.0.1:$server_port}
export SHOP_LISTEN=${SHOP_LISTEN:-127.0.0.1:$shop_port}
shop_url=http://localhost:${SHOP_LISTEN##*:}
export SALLYPORT_ORIGINS=${SALLYPORT_ORIGINS:-$shop_url}
export SALLYPORT_NAME=${SALLYPORT_NAME:-Corner Shop}
export SALLYPORT_MAIL=${SALLYPORT_MAIL:-dir:$PWD/.run/mails} # codes and notices, to try without a mail server
export SALLYPORT_MAIL_FROM=${SALLYPORT_MAIL_FROM:-Corner Shop <no-reply@localhost>}
export SALLYPORT_FRAME_ORIGINS=${SALLYPORT_FRAME_ORIGINS:-$shop_url}
mkdir -p .run
banner=.run/banner

server='' shop=''
stop() {
	trap - EXIT INT TERM
	kill $shop $server 2>/dev/null || true
	wait
}
interrupted() { # the usual way to end: the terminal has told both of them as well
	trap - EXIT INT TERM
	for _ in $(seq 100); do # a second signal would cut the server's shutdown short
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	stop
	exit 0
}
trap stop EXIT
trap interrupted INT
trap 'stop; exit 143' TERM

# The server would make a management secret of its own, and keep only its hash.
management=${SALLYPORT_MANAGEMENT_SECRET:-}
if [ -z "$management" ]; then
	if [ ! -s .run/management-secret ]; then
		(umask 077 && echo "spm_$(head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n')" >.run/management-secret)
	fi
	management=$(cat .run/management-secret)
fi

rm -f "$banner"
(umask 077 && : >"$banner") # it holds a one-time link
SALLYPORT_MANAGEMENT_SECRET=$management bin/sallyport serve >"$banner" &
server=$!
until [ -s "$banner" ]; do # written when the server is ready
	kill -0 "$server" 2>/dev/null || { wait "$server" || exit $?; exit 1; }
	sleep 0.1
done
server_url=$(grep -o -m 1 'https\?://[^ /]*' "$banner" | head -n 1)
invite=$(grep -o 'https\?://[^ ]*#invite=[^ ]*' "$banner" || true)
secret=$(bin/sallyport secret show | head -n 1)
rm -f "$banner"

SALLYPORT_URL=$server_url SALLYPORT_SECRET=$secret bin/shop &
shop=$!

cat <<TEXT

  Sallyport and the example shop are running. Ctrl-C stops both.

    Shop            $shop_url
    Console         ${invite:-$server_url/console}
    Server secret   $secret
    Management      $management
    Mails           .run/mails, one file each

  ${invite:+The console link works once and registers you, with a passkey, as the first administrator.
  }Track an action:

    curl -u $secret: -H 'Content-Type: application/json' \\
      -d '{"custom":{"amount":25,"currency":"EUR","payee":"Maria"}}' \\
      $server_url/v1/users/jane/actions/payment

  Work on the rules:

    export SALLYPORT_URL=$server_url SALLYPORT_MANAGEMENT_SECRET=$management
    bin/sallyport rules export > .run/rules.yaml

TEXT
wait -n "$server" "$shop" # whichever ends first ends both
