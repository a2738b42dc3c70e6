#!/bin/sh
# Doxygen's input filter. Puts what a header declares into the group of its room, and sets the indented lines of a comment (formulas,
# tables) apart as text whose columns stay: so the headers need no markup.
room=$(printf '%s\n' "$1" | sed -nE 's#(.*/)?pathkernel/([a-z]+)/.*\.h$#\2#p')
[ -n "$room" ] || exec cat "$1"
exec awk -v room="$room" '
  /^}  \/\/ namespace pathkernel/ { last = NR }
  { line[NR] = $0 }
  END {
    for (i = 1; i <= NR; ++i) {
      if (i == last) print "/** @} */"
      indented = line[i] ~ /^ *\/\/\/  /
      if (indented != before) print "///"
      before = indented
      if (indented) sub(/\/\/\//, "///   ", line[i])
      if (line[i] !~ /^ *\/\/\//) gsub(/\/\*|\*\//, " ", line[i])  # f(const Tensor& /*losses*/): the name counts here
      print line[i]
      if (line[i] ~ /^namespace pathkernel/ && !opened) { opened = 1; print "/** @addtogroup " room "\n@{ */" }
    }
  }' "$1"
