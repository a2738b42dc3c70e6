#!/usr/bin/env bash
# The pictures of docs/deep_equals_shallow.md, by its commands:  make program && scripts/pictures_spectra.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${PATHKERNEL:-build/pathkernel}
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
"$program" spectrum ntk --depth 3 --dim 4 --k-max 500 --digits 20 --plot "$pages/ntk.html"
"$program" spectrum compare --dim 4 --plot "$pages/compare.html"
scripts/page_picture.sh "$pages/ntk.html" docs/pictures/spectra_ntk.png 1280 1120
scripts/page_picture.sh "$pages/compare.html" docs/pictures/spectra_compare.png 1280 1200
