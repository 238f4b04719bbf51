#!/bin/sh
# tally.sh: adds up what step.sh noted.
#
#   sh .ci/tally.sh RESULTS STATUS
#
# STATUS is that of the make that ran the steps; not 0 means that something
# could not even be built, which counts as one failure. The last line is
# "N passed, N failed"; a copy stays in RESULTS/tally. Fails if anything did,
# and if nothing ran.

results=$1 status=$2
mkdir -p "$results"
broken=0
[ "$status" = 0 ] || broken=1

find "$results" -name '*.counts' -exec cat {} + |
awk -v broken=$broken '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    if (broken) print "something could not be built or run, see above"
    failed += broken
    printf "%d passed, %d failed", passed, failed
    if (skipped) printf ", %d skipped", skipped
    printf "\n"
    exit failed > 0 || passed == 0
  }' >"$results/output"
verdict=$?

tail -n 1 "$results/output" >"$results/tally"
cat "$results/output"
exit $verdict
