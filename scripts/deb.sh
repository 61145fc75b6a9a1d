#!/usr/bin/env bash
# Makes a Debian package of a binary and what scripts/release.sh has put into
# dist/share, and leaves it in dist/. That script calls it.
#   scripts/deb.sh BINARY DEBIAN-ARCHITECTURE VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1 arch=$2 version=$3
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
put() { # put MODE FILE PLACE
	install -D -m "$1" "$2" "$root/$3"
}
put 755 "$binary" usr/bin/midge
put 644 packaging/midge.toml etc/midge/midge.toml
put 644 packaging/midge.sysusers usr/lib/sysusers.d/midge.conf
put 644 dist/share/completions/midge.bash usr/share/bash-completion/completions/midge
put 644 dist/share/completions/_midge usr/share/zsh/vendor-completions/_midge
put 644 dist/share/completions/midge.fish usr/share/fish/vendor_completions.d/midge.fish
put 644 dist/share/midge.toml usr/share/doc/midge/examples/midge.toml
put 644 LICENSE usr/share/doc/midge/copyright
for page in dist/share/man/man?/*; do
	put 644 "$page" "usr/share/man/${page#dist/share/man/}"
	gzip -9n "$root/usr/share/man/${page#dist/share/man/}"
done
mkdir -p "$root/usr/lib/systemd/system" "$root/DEBIAN"
sed 's|/usr/local/bin/|/usr/bin/|' packaging/midge.service >"$root/usr/lib/systemd/system/midge.service"
echo /etc/midge/midge.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm; do
	put 755 packaging/debian.$script DEBIAN/$script
done
cat >"$root/DEBIAN/control" <<-CONTROL
	Package: midge
	Version: $version
	Architecture: $arch
	Section: net
	Priority: optional
	Maintainer: The midge authors <midge@users.noreply.github.com>
	Homepage: https://github.com/midgemq/midge
	Installed-Size: $(du -ks --exclude=DEBIAN "$root" | cut -f1)
	Description: MQTT 3.1, 3.1.1 and 5.0 broker and its tools
	 One static binary. It listens on loopback until /etc/midge/midge.toml says
	 otherwise, and runs after: systemctl enable --now midge
CONTROL
chmod -R u=rwX,go=rX "$root"
find "$root" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "dist/midge_${version}_$arch.deb"
