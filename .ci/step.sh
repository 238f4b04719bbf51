#!/bin/sh
# step.sh: runs one check, says how it went, and notes the counts.
#
#   RESULTS=build/results/test sh .ci/step.sh NAME SECONDS COMMAND...
#
# A check that takes longer than SECONDS has failed: it hangs. What it prints
# goes to a log and is shown only when it fails. A run of busted and a program
# of spec/c count as many checks as they have tests, anything else as one.
# Always exits 0: the counts, which tally.sh adds up, carry the verdict.

name=$1 limit=$2
shift 2

log=$RESULTS/$name.log
mkdir -p "$(dirname "$log")"

begin=$(date +%s%N)
timeout -k 5 "$limit" "$@" >"$log" 2>&1 </dev/null
status=$?
time=$(awk "BEGIN { printf \"%.1f\", ($(date +%s%N) - $begin) / 1e9 }")

# busted speaks TAP; a program of spec/c ends with "ok N", N tests.
count() { grep -ac "$1" "$log"; }
if [ "$(count '^1\.\.[0-9]*$')" != 0 ] || [ "$(count '^ok [0-9]* - ')" != 0 ]
then
  skipped=$(count '^ok [0-9]* - # SKIP')
  passed=$(($(count '^ok [0-9]* - ') - skipped))
  failed=$(count '^not ok [0-9]* - ')
else
  skipped=0 failed=0
  passed=$(sed -n 's/^ok \([0-9][0-9]*\)$/\1/p' "$log" | tail -n 1)
  passed=${passed:-$((status == 0))}
fi
# Whatever it counted: what ended badly has failed.
if [ $status != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
echo "$passed $failed $skipped" >"$RESULTS/$name.counts"

if [ "$failed" = 0 ]; then
  of=
  [ "$passed" = 1 ] || of=", $passed tests"
  echo "ok      $name ($time s$of)"
else
  case $status in
  124 | 137) how="no end after $limit s" ;;
  *) how="exit status $status" ;;
  esac
  # Of TAP only what is not ok, and the test that never ended.
  echo "FAILED  $name ($time s, $how)"
  awk '/^ok / { held = ""; next }
    { if (held != "") print "    " held; held = $0 }
    END { if (held != "") print "    " held }' "$log" | tail -n 200
fi
exit 0
