#!/bin/sh
# Installs Autobahn's test suite, and the Python 2.7 without which it does not run, in .autobahn and nowhere else.
#
# Debian 12 has no Python 2.7. Debian 11's is fetched with apt, checked with Debian's keys, and unpacked rather than installed.
# Usage: autobahn.sh /path/to/pip
set -eu
pip=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)/.autobahn
rm -rf "$root" && mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" && cd "$root/apt"

fetch() { # from the mirror $1
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 bullseye main" > sources.list
	options="-qq -o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=- -o Dir::State::Lists=$PWD/lists -o Dir::Cache=$PWD/cache
		-o APT::Sandbox::User=root -o APT::Update::Error-Mode=any -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none"
	apt-get $options update && apt-get $options download \
		python2.7-minimal libpython2.7-minimal libpython2.7-stdlib libpython2.7-dev libssl1.1 libffi7 >/dev/null
}
fetch http://deb.debian.org/debian || fetch http://archive.debian.org/debian # where Debian 11 goes when nobody supports it any more
for package in ./*.deb; do dpkg -x "$package" "$root"; done
rm -rf "$root/apt" "$root"/usr/lib/python2.7/config-* "$root"/usr/lib/*-linux-gnu/*.a

cd "$root"
export LD_LIBRARY_PATH="$(echo "$root"/usr/lib/*-linux-gnu)" PYTHONPATH= PYTHONNOUSERSITE=1 PIP_NO_PYTHON_VERSION_WARNING=1
export C_INCLUDE_PATH="$root/usr/include/python2.7:$root/usr/include"
LD_LIBRARY_PATH= "$pip" download --quiet --no-deps --require-hashes --dest . -r "$here/autobahn-pip.txt"
install() { # with the last pip that knew Python 2.7
	usr/bin/python2.7 "$(echo pip-*.whl)/pip" install --quiet --no-deps --require-hashes --upgrade --target usr/local/lib/python2.7/dist-packages "$@"
}
grep -E '^(setuptools|wheel)==' "$here/autobahn.txt" > build.txt
install -r build.txt
grep -vE '^(setuptools|wheel)==' "$here/autobahn.txt" > rest.txt
install -r rest.txt
