#!/usr/bin/env bash
# Builds TinyGo from the Go module proxy and Debian's LLVM, for machines on which
# the official release (https://tinygo.org/getting-started) is not to be had, and
# for the emulated board, which no release knows. Prints the compiler's path.
#
#   scripts/tinygo.sh           for lm3s6965, the board in QEMU
#   scripts/tinygo.sh esp32c3   for the ESP32-C3 too; ESP32C3_SVD names the folder
#                               that holds Espressif's esp32c3.svd
#
# Takes two minutes, most of it for 2 GB of Debian's packages, and keeps 40 MB in
# ${XDG_CACHE_HOME:-~/.cache}/midge/tinygo; called again, no time. Exits with 75 and a line where it cannot: not Debian, not root,
# no network.
set -euo pipefail
cd "$(dirname "$0")/.."
version=v0.42.0
overlay=$PWD/firmware/_tinygo
cache=${XDG_CACHE_HOME:-$HOME/.cache}/midge/tinygo
chip=${1:-}

say() { printf 'tinygo: %s\n' "$*" >&2; }
cannot() {
	say "cannot: $*"
	exit 75
}

stamp="$version $(cat scripts/tinygo.sh $(find "$overlay" -type f | sort) | sha256sum | cut -c1-16)"
[ "$(cat "$cache/stamp" 2>/dev/null)" = "$stamp" ] || rm -f "$cache/stamp" "$cache/stamp.esp32c3"
if [ -f "$cache/stamp${chip:+.$chip}" ]; then
	echo "$cache/tinygo"
	exit
fi

packages="llvm-19-dev libclang-19-dev clang-19 lld-19 g++ qemu-system-arm gcc-arm-none-eabi picolibc-arm-none-eabi"
if [ "$chip" = esp32c3 ]; then
	packages+=" gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
	[ -f "${ESP32C3_SVD:=}/esp32c3.svd" ] || cannot "ESP32C3_SVD does not name a folder with esp32c3.svd (github.com/espressif/svd)"
	ESP32C3_SVD=$(realpath "$ESP32C3_SVD")
fi

debian() { # installs what is missing of $packages
	command -v dpkg-query apt-get >/dev/null || cannot "this is not Debian; wanted: $packages"
	local p missing=()
	for p in $packages; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
	done
	[ "${#missing[@]}" -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || cannot "not root; apt-get install ${missing[*]}"
	say "packages"
	apt-get update -qq >&2 || cannot "apt-get update failed"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$cache/apt.log" 2>&1 ||
		cannot "apt-get install ${missing[*]} failed: $cache/apt.log"
}

sources() { # the compiler's and the runtime's source, with what we change, in root
	# The proxy refuses to list TinyGo's versions, so "go install" fails; one
	# exact version downloads.
	local dir
	say "source"
	dir=$(cd / && go mod download -json "github.com/tinygo-org/tinygo@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
	[ -n "$dir" ] || cannot "no TinyGo $version from $(go env GOPROXY)"
	chmod -R u+w root 2>/dev/null || true
	rm -rf root
	cp -r "$dir" root
	chmod -R u+w root
	# It asks for an espflasher that the proxy does not serve, to flash ESP chips.
	sed -i 's/flasher\.EraseFlash(progressFunc)/flasher.EraseFlash()/' root/main.go
	(cd root && go mod edit -replace tinygo.org/x/espflasher=tinygo.org/x/espflasher@v0.6.0)
	# Let log/slog and hash/crc32 come from the overlay: lneto names them and uses
	# neither, for 94 KB of flash, 14 KB of static RAM and 8 KB of heap.
	sed -i 's#^\t\t"machine/": *false,#\t\t"hash/": true,\n\t\t"hash/crc32/": false,\n\t\t"log/": true,\n\t\t"log/slog/": false,\n&#' root/loader/goroot.go
	grep -q '"log/slog/"' root/loader/goroot.go
	cp -r "$overlay/." root
	mkdir -p root/src/net/http
}

library() { # FOLDER LIBGCC LIBC: what stands in for TinyGo's git submodules
	# Without debug info, which TinyGo cannot read when it sizes stacks, and
	# without malloc, which TinyGo has.
	mkdir -p "root/lib/$1"
	llvm-objcopy-19 --strip-debug -R .debug_frame "$2" "root/lib/$1/libgcc.a"
	llvm-objcopy-19 --strip-debug -R .debug_frame "$3" "root/lib/$1/libc.a"
	# shellcheck disable=SC2046 # one member a word
	llvm-ar-19 d "root/lib/$1/libc.a" $(llvm-ar-19 t "root/lib/$1/libc.a" | grep '^nano-malloc')
}

compiler() {
	say "compiler"
	(cd root && go build -mod=mod -tags llvm19 -ldflags "-X github.com/tinygo-org/tinygo/goenv.TINYGOROOT=$PWD" -o ../tinygo .)
}

esp32c3() { # its registers, from the chip maker's description, and its libraries
	say "esp32c3"
	local march="-march=rv32imac -mabi=ilp32"
	# shellcheck disable=SC2086 # two words
	library rv32imac "$(riscv64-unknown-elf-gcc $march -print-libgcc-file-name)" \
		/usr/lib/picolibc/riscv64-unknown-elf/lib/release/rv32imac/ilp32/libc.a
	# shellcheck disable=SC2086
	riscv64-unknown-elf-gcc $march --specs=picolibc.specs -Os -ffunction-sections -c root/lib/picolibc-stdio.c -o stdio.o
	llvm-ar-19 r root/lib/rv32imac/libc.a stdio.o 2>/dev/null
	sed -i '/"rtlib": "compiler-rt",/d; /"libc": "picolibc",/d' root/targets/riscv.json root/targets/esp32c3.json
	sed -i 's#"-melf32lriscv",$#"-melf32lriscv", "{root}/lib/rv32imac/libgcc.a", "{root}/lib/rv32imac/libc.a",#
		s#"-march=rv32imac"#"-march=rv32imac", "-isystem", "/usr/lib/picolibc/riscv64-unknown-elf/include"#' root/targets/riscv32.json
	(cd root && go build -mod=mod -o ../gen-device-svd ./tools/gen-device-svd)
	./gen-device-svd -source=https://github.com/espressif/svd -interrupts=software "$ESP32C3_SVD/" root/src/device/esp/ >&2
	echo "$stamp" >stamp.esp32c3
}

mkdir -p "$cache"
debian
cd "$cache"
if [ ! -f stamp ]; then
	sources
	library armv7m "$(arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -print-libgcc-file-name)" \
		/usr/lib/picolibc/arm-none-eabi/lib/release/thumb/v7-m/nofp/libc.a
	compiler
	echo "$stamp" >stamp
fi
[ "$chip" != esp32c3 ] || esp32c3
echo "$cache/tinygo"
