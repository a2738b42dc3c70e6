#!/usr/bin/env bash
# The README's pictures, from the demo's pages:  make demo && scripts/pictures.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
demo=${DEMO:-runs/demo}
scripts/page_picture.sh "$demo/theorem.html" docs/pictures/theorem.png 1280 1480
scripts/page_picture.sh "$demo/report.html" docs/pictures/report.png 1280 1400
