#!/bin/sh
# Installs portcheck @VERSION@: sh install.sh [FOLDER], by default into ~/.local/bin.
# What it downloads has to have the checksum that is written here. PORTCHECK_FROM names another
# place to get the archive from: a folder, or a URL.
set -eu

fail() { echo "install.sh: $*" >&2; exit 1; }

case $(uname -s)-$(uname -m) in
    Linux-x86_64) target=x86_64-unknown-linux-musl sum=@SHA256 x86_64-unknown-linux-musl.tar.gz@ ;;
    Linux-aarch64) target=aarch64-unknown-linux-musl sum=@SHA256 aarch64-unknown-linux-musl.tar.gz@ ;;
    Darwin-x86_64) target=x86_64-apple-darwin sum=@SHA256 x86_64-apple-darwin.tar.gz@ ;;
    Darwin-arm64) target=aarch64-apple-darwin sum=@SHA256 aarch64-apple-darwin.tar.gz@ ;;
    *) fail "there is no program for $(uname -s) on $(uname -m): build it with cargo" ;;
esac
[ ${#sum} -eq 64 ] || fail "this release has no program for $target"
from=${PORTCHECK_FROM:-@DOWNLOAD@}
folder=${1:-$HOME/.local/bin}
name=portcheck-@VERSION@-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -d "$from" ]; then
    cp "$from/$name.tar.gz" "$work/archive"
elif command -v curl >/dev/null; then
    curl --proto '=https' --fail --silent --show-error --location --output "$work/archive" "$from/$name.tar.gz"
elif command -v wget >/dev/null; then
    wget -q -O "$work/archive" "$from/$name.tar.gz"
else
    fail 'curl or wget is needed'
fi
if command -v sha256sum >/dev/null; then
    found=$(sha256sum <"$work/archive")
else
    found=$(shasum -a 256 <"$work/archive")
fi
[ "${found%% *}" = "$sum" ] || fail "the checksum of $name.tar.gz is wrong: nothing was installed"
tar -xzf "$work/archive" -C "$work"
mkdir -p "$folder"
cp "$work/$name/portcheck" "$folder/portcheck.new"
chmod 755 "$folder/portcheck.new"
mv "$folder/portcheck.new" "$folder/portcheck"
echo "portcheck @VERSION@ is in $folder"
case ":$PATH:" in *":$folder:"*) ;; *) echo "Add it to PATH: export PATH=\"$folder:\$PATH\"" ;; esac
