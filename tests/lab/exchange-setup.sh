#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# packages: libsmbclient samba-common-bin
#
# The Linux host from which an Exchange host is watched: nothing to configure but the name of the other.
set -euo pipefail

if [ "$(cat /etc/hostname)" != lab ]; then
	echo "exchange-setup.sh: this is not the lab's root; refusing to change /etc/hosts" >&2
	exit 1
fi

echo '10.99.0.2 exch2003' >>/etc/hosts
