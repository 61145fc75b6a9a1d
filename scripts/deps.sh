#!/usr/bin/env bash
# Installs what the tests use beyond Go: a C compiler for the race detector,
# valgrind to count instructions, mandoc to judge manual pages, mosquitto, its
# clients, Python's paho-mqtt and PyJWT, Node.js, and MQTT.js, which goes to a cache outside
# the tree. On Debian, as root; does nothing where all of it is there.
set -eu

# Debian keeps mosquitto in sbin, which is not on everybody's PATH.
PATH="$PATH:/usr/sbin"
wanted=()
add() { # add PROGRAM PACKAGE...
	command -v "$1" >/dev/null || wanted+=("${@:2}")
}
add gcc gcc libc6-dev
add valgrind valgrind
add mosquitto mosquitto
add mosquitto_pub mosquitto-clients
add mandoc mandoc
add node nodejs
add npm npm
/usr/bin/python3 -c 'import paho.mqtt, jwt, cryptography' 2>/dev/null ||
	wanted+=(python3-paho-mqtt python3-jwt python3-cryptography)
if [ "${#wanted[@]}" -gt 0 ]; then
	if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
		echo "deps: install these, this is not Debian or not root: ${wanted[*]}" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${wanted[@]}" >/dev/null
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/midge-interop"
if [ ! -d "$cache/node_modules/mqtt" ]; then
	mkdir -p "$cache"
	npm install --silent --no-audit --no-fund --prefix "$cache" mqtt@5.16.0
fi
