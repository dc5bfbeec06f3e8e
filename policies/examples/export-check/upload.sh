#!/bin/sh
# Uploads a data set to a bucket if its records may train TARGET, and refuses otherwise.
#
#   TARGET=mistralai/Mistral-7B-v0.1 GUARD_STATE=/var/lib/guard \
#     upload.sh train.jsonl s3://training-data/train.jsonl
#
# UPLOAD is the command that copies a file to a place; the default is that of Amazon's S3. The signed statement goes with
# the data, so whoever trains can verify it: guard export verify train.jsonl.guard.json --keys keys.json
set -u

data=$1
place=$2
: "${TARGET:?the model that is to be trained}"
: "${GUARD_STATE:?the state directory of the gateway}"
: "${UPLOAD:=aws s3 cp}"

guard export check "$data" --target "$TARGET" --state "$GUARD_STATE" --attest "$data.guard.json"
code=$?
case $code in
0) ;;
1) echo "The obligations above are owed by whoever trains $TARGET on it." >&2 ;;
2) echo "Not uploaded: a license forbids it. 'guard export check --write-clean' leaves those records out." >&2 ;;
3) echo "Not uploaded: it cannot be told whether it is allowed." >&2 ;;
*) echo "Not uploaded: it could not be checked." >&2 ;;
esac
[ "$code" -le 1 ] || exit "$code"

# The statement first: there is never data without one.
$UPLOAD "$data.guard.json" "$place.guard.json" && $UPLOAD "$data" "$place"
