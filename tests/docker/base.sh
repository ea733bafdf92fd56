#!/bin/sh
# Makes a small Debian as a tar archive: the base of the workers' image where no registry can be reached.
#
#   tests/docker/base.sh /tmp/base.tar [SUITE]
#
# Takes packages from where this machine's own apt does, and this machine's certificates along. As root; takes a minute
# or two. The archive appears under its name when it is whole; one that is there already is left as it is.
set -eu

target=${1:?where to? such as: base.sh /tmp/base.tar}
suite=${2:-trixie}
[ ! -s "$target" ] || exit 0

mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null |
    grep -Eo 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
if [ -z "$mirror" ]; then
    echo "base.sh: this machine's apt names no Debian mirror" >&2
    exit 1
fi

mkdir -p "$(dirname "$target")"
work=$(mktemp -d)
trap 'rm -rf "$work" "$target.new.$$"' EXIT
if ! debootstrap --variant=minbase --include=ca-certificates,git,procps,python3 \
    "$suite" "$work/root" "$mirror" >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    exit 1
fi
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
    cp /usr/local/share/ca-certificates/*.crt "$work/root/usr/local/share/ca-certificates/"
    chroot "$work/root" update-ca-certificates >/dev/null 2>&1
fi
echo force-unsafe-io >"$work/root/etc/dpkg/dpkg.cfg.d/quick" # a build that breaks off is thrown away as a whole
rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists"
mkdir -p "$work/root/var/cache/apt/archives/partial" "$work/root/var/lib/apt/lists/partial"
tar --create --numeric-owner --one-file-system --directory "$work/root" --exclude=./dev/* --file "$target.new.$$" .
mv "$target.new.$$" "$target"
