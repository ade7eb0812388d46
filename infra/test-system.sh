#!/bin/sh
# The slow tests use a real S3 server (Ceph's gateway) and a real browser (Debian's Chromium). Installs them where that
# can be done without asking; elsewhere the tests that need them skip and say so.
set -eu
missing=""
command -v radosgw >/dev/null 2>&1 && command -v ceph-osd >/dev/null 2>&1 && command -v ceph-mon >/dev/null 2>&1 ||
  missing="radosgw ceph-mon ceph-osd"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing for the tests: $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    echo "could not install $missing: the tests that need them will skip"
else
  echo "not installed, and this user cannot install it: $missing. The tests that need them will skip."
fi
