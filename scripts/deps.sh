#!/usr/bin/env bash
# Installs what the tests with real clients need: mosquitto, its clients, and
# MQTT.js. Debian and root; MQTT.js goes to a cache outside the tree.
set -eu
if ! command -v mosquitto_pub >/dev/null || ! command -v mosquitto >/dev/null && [ ! -x /usr/sbin/mosquitto ]; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mosquitto mosquitto-clients >/dev/null
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nodejs npm >/dev/null
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/midge-interop"
if [ ! -d "$cache/node_modules/mqtt" ]; then
	mkdir -p "$cache"
	npm install --silent --no-audit --no-fund --prefix "$cache" mqtt@5.16.0
fi
