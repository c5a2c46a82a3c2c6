#!/bin/sh
# Builds the four images of this example from Debian packages, into the engine that DOCKER_HOST names:
#
#   DOCKER_HOST=unix:///var/run/docker.sock ./build.sh
#
# Needs root, apt-get of a Debian with its package lists (`apt-get update`), and a docker client. Packages are only
# unpacked: no image runs while it is built, and none holds more than its program needs. To bring them to a cluster:
#
#   docker save intro-nginx:1 intro-php-fpm:1 intro-app:1 intro-mariadb:1 | clusterctl image load -
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ "$(id -u)" = 0 ] || { echo "build.sh needs root" >&2; exit 1; }
: "${DOCKER_HOST:?names the engine that gets the images, such as unix:///var/run/docker.sock}"
for program in apt-get dpkg-deb docker; do
    command -v "$program" >/dev/null || { echo "build.sh needs $program" >&2; exit 1; }
done

# root NAME PACKAGE...: a file system of these packages and all that they need, in $work/NAME.
root() {
    name=$1; shift
    mkdir -p "$work/debs/partial" "$work/$name"
    # With no package installed by its lights, apt names all that are needed.
    : >"$work/status"
    apt-get -qq -y -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/debs" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root --no-install-recommends --download-only \
        install "$@"
    for folder in bin sbin lib lib64; do
        mkdir -p "$work/$name/usr/$folder"
        ln -s "usr/$folder" "$work/$name/$folder"
    done
    # What only scripts of packages need, or programs that no container runs.
    (cd "$work/debs" && rm -f perl*_*.deb libperl*_*.deb systemd_*.deb libsystemd-shared*.deb dpkg_*.deb \
        debconf_*.deb usrmerge_*.deb adduser_*.deb passwd_*.deb tzdata_*.deb)
    for deb in "$work"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" |
            tar -x -C "$work/$name" --keep-directory-symlink --exclude='./usr/share/doc/*' \
                --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*'
    done
    rm -f "$work"/debs/*.deb
    mkdir -p "$work/$name/tmp" "$work/$name/run" "$work/$name/etc"
    chmod 1777 "$work/$name/tmp"
    printf 'root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:\nmysql:x:100:100::/var/lib/mysql:\n' \
        >"$work/$name/etc/passwd"
    printf 'root:x:0:\nwww-data:x:33:\nmysql:x:100:\n' >"$work/$name/etc/group"
    printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$work/$name/etc/nsswitch.conf"
}

# image NAME LINE...: the file system of that name as an image, with these lines in its Dockerfile.
image() {
    name=$1; shift
    mkdir "$work/context"
    tar -C "$work/$name" --numeric-owner -cf "$work/context/root.tar" .
    rm -rf "${work:?}/$name"
    { echo 'FROM scratch'; echo 'ADD root.tar /'; printf '%s\n' "$@"; } >"$work/context/Dockerfile"
    docker build -q -t "intro-$name:1" "$work/context" >"$work/build.log" 2>&1 || {
        cat "$work/build.log" >&2; exit 1
    }
    rm -rf "$work/context"
    echo "intro-$name:1"
}

root nginx nginx-light dash
cp "$here/nginx.conf" "$work/nginx/etc/nginx/nginx.conf"
mkdir -p "$work/nginx/var/log/nginx" "$work/nginx/var/lib/nginx"
image nginx 'CMD ["nginx"]' 'STOPSIGNAL SIGQUIT' 'EXPOSE 80'

root php-fpm php-fpm php-mysql
fpm=$(basename "$(echo "$work"/php-fpm/usr/sbin/php-fpm?*)")
settings=$work/php-fpm/etc/php/${fpm#php-fpm}/fpm
mkdir -p "$settings/conf.d" "$work/php-fpm/run/php"
cp "$here/php-fpm.conf" "$work/php-fpm/etc/php-fpm.conf"
printf 'extension=mysqlnd.so\nextension=mysqli.so\n' >"$settings/conf.d/20-mysql.ini"
image php-fpm "CMD [\"$fpm\", \"--fpm-config\", \"/etc/php-fpm.conf\"]" 'STOPSIGNAL SIGQUIT' 'EXPOSE 9000'

# The container ends at once; what stays of it is the volume with the code.
root app busybox-static
ln -sf busybox "$work/app/usr/bin/true"
mkdir -p "$work/app/var/www"
cp "$here/index.php" "$work/app/var/www/"
chmod -R a+rX "$work/app/var/www"
image app 'CMD ["/bin/true"]' 'VOLUME /var/www'

root mariadb mariadb-server-core mariadb-client-core dash coreutils sed grep hostname
cp "$here/intro.sql" "$work/mariadb/etc/intro.sql"
cp "$here/db-start" "$work/mariadb/usr/bin/db-start"
chmod 0755 "$work/mariadb/usr/bin/db-start"
chmod 0644 "$work/mariadb/etc/intro.sql"
mkdir -p "$work/mariadb/run/mysqld" "$work/mariadb/var/lib/mysql"
chown 100:100 "$work/mariadb/run/mysqld" "$work/mariadb/var/lib/mysql"
image mariadb 'CMD ["db-start"]' 'EXPOSE 3306'
