#!/usr/bin/env bash
# Makes a Debian package of Caddy with socketio_stream: build/caddy-socketio_<version>_<architecture>.deb
#
#   deploy/deb/build.sh              builds Caddy and packs it
#   deploy/deb/build.sh --packed     packs build/caddy as it is
#
# The package takes the place of Debian's and Caddy's own package "caddy". It has the unit of deploy/systemd, a user
# caddy, and /etc/caddy/Caddyfile, which is kept when it was changed.

set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

command -v dpkg-deb >/dev/null || {
	echo "dpkg-deb is missing: it comes with Debian, Ubuntu and their kin, and elsewhere in the package dpkg." >&2
	exit 1
}
case ${1:-} in
'') ./xcaddy.sh build ;;
--packed) [[ -x build/caddy ]] || { echo "There is no build/caddy: run ./xcaddy.sh build." >&2; exit 1; } ;;
*) echo "usage: deploy/deb/build.sh [--packed]" >&2; exit 2 ;;
esac

# The version is that of Caddy, and of this module by its date and commit.
caddy=$(build/caddy version | sed -E 's/^v?([0-9.]+).*/\1/')
module=$(git log -1 --date=format:%Y%m%d --format=0~git%cd.%h 2>/dev/null || echo 0~local)
version=$caddy+socketio$module
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

install -D -m 755 build/caddy "$root/usr/bin/caddy"
install -D -m 644 deploy/systemd/caddy.service "$root/lib/systemd/system/caddy.service"
install -D -m 644 deploy/deb/Caddyfile "$root/etc/caddy/Caddyfile"
install -D -m 644 LICENSE "$root/usr/share/doc/caddy-socketio/copyright"
install -D -m 755 deploy/deb/postinst "$root/DEBIAN/postinst"
install -D -m 755 deploy/deb/prerm "$root/DEBIAN/prerm"
echo /etc/caddy/Caddyfile >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<END
Package: caddy-socketio
Version: $version
Architecture: $architecture
Maintainer: The socketio_stream project <https://github.com/caddy-socketio/socketio-stream>
Section: httpd
Priority: optional
Depends: ca-certificates, adduser
Provides: caddy, httpd
Conflicts: caddy
Replaces: caddy
Installed-Size: $(du -sk "$root" | cut -f1)
Homepage: https://github.com/caddy-socketio/socketio-stream
Description: Caddy as a Socket.IO server
 The web server Caddy with the module socketio_stream, by which it is a Socket.IO server itself.
END

package=build/caddy-socketio_${version}_$architecture.deb
dpkg-deb --root-owner-group -Zgzip -z4 --build "$root" "$package" >/dev/null
echo "Packed $package"
