#!/usr/bin/env bash
# Makes a container image of the binaries for Linux that scripts/release.sh has
# left in dist/: one OCI archive for all of them, for "podman load", "docker load"
# and "skopeo copy oci-archive:...". It is that of packaging/Dockerfile, less the
# web's authorities, which differ from machine to machine. It needs tar and
# sha256sum alone, and makes the same bytes of the same binaries.
set -euo pipefail
cd "$(dirname "$0")/../dist"
export LC_ALL=C TZ=UTC
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
created=$(date -u -d "@$epoch" +%FT%TZ)
version=$(sed -n 's/^const Version = "\(.*\)"$/\1/p' ../sys.go)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/image/blobs/sha256"
pack=(tar --sort=name --mtime="@$epoch" --numeric-owner --no-recursion)

keep() { # keep FILE: into the blobs; prints its digest and size as JSON
	local sum
	sum=$(sha256sum "$1" | cut -d' ' -f1)
	printf '"digest":"sha256:%s","size":%d' "$sum" "$(wc -c <"$1")"
	mv "$1" "$work/image/blobs/sha256/$sum"
}

layer() { # layer BINARY: the file system, as $work/layer.tar
	local root=$work/root
	mkdir -p "$root"/{etc/midge,var/lib/midge,run/midge}
	install -m 755 "$1" "$root/midge"
	chmod 755 "$root"/{etc,etc/midge,var,var/lib,run} && chmod 700 "$root"/{var/lib/midge,run/midge}
	"${pack[@]}" --owner=0 --group=0 -C "$root" -cf "$work/layer.tar" etc etc/midge midge run var var/lib
	"${pack[@]}" --owner=65532 --group=65532 -C "$root" -rf "$work/layer.tar" run/midge var/lib/midge
	rm -r "$root"
}

manifests=
for binary in midge-linux-*; do
	platform='"os":"linux","architecture":'
	case $binary in
	*-amd64 | *-arm64 | *-riscv64) platform+="\"${binary##*-}\"" ;;
	*-arm-*) platform+="\"arm\",\"variant\":\"v${binary##*-}\"" ;;
	*) continue ;; # containers are nothing for small routers
	esac
	layer "$binary"
	diff=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
	gzip -9n "$work/layer.tar"
	content=$(keep "$work/layer.tar.gz")
	cat >"$work/config" <<-CONFIG
		{"created":"$created",$platform,"config":{"User":"65532:65532","Env":["MIDGE_ADMIN_URL=unix:///run/midge/admin.sock"],"Entrypoint":["/midge"],"Cmd":["serve","-c","/etc/midge/midge.toml"],"ExposedPorts":{"1883/tcp":{},"8883/tcp":{}},"Volumes":{"/var/lib/midge":{}},"StopSignal":"SIGTERM","Healthcheck":{"Test":["CMD","/midge","health"],"Interval":30000000000,"Timeout":5000000000,"StartPeriod":30000000000},"Labels":{"org.opencontainers.image.version":"$version","org.opencontainers.image.source":"https://github.com/midgemq/midge","org.opencontainers.image.licenses":"Apache-2.0"}},"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]},"history":[{"created":"$created","created_by":"scripts/image.sh"}]}
	CONFIG
	config=$(keep "$work/config")
	oci=application/vnd.oci.image
	printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json",%s},"layers":[{"mediaType":"%s.layer.v1.tar+gzip",%s}]}' \
		$oci $oci "$config" $oci "$content" >"$work/manifest"
	manifests+="${manifests:+,}{\"mediaType\":\"$oci.manifest.v1+json\",$(keep "$work/manifest"),\"platform\":{$platform}}"
done
if [ -z "$manifests" ]; then
	echo "image: no binary for Linux in dist/; ./scripts/release.sh linux/amd64 makes one" >&2
	exit 1
fi
printf '{"schemaVersion":2,"mediaType":"%s.index.v1+json","manifests":[%s]}' $oci "$manifests" >"$work/index"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.index.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}]}' \
	$oci "$(keep "$work/index")" "$version" >"$work/image/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -C "$work/image" -cf "midge-$version-oci.tar" blobs index.json oci-layout
echo "dist/midge-$version-oci.tar"
