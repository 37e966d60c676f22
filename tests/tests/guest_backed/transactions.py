# SPDX-License-Identifier: MIT OR GPL-2.0

"""Transactions that change records of an LMDB: python3 transactions.py write|map|verify FILE BYTES

`write` and `map` (through a writable mapping) never end. They print their process ID, and the number of each
transaction that was made durable. `verify` compares all records with those of the last transaction, and prints its number.
"""

import os
import sys

import lmdb

NR_KEYS = 200
NR_PARTS = 8


def record(number, part):
    """A record of a transaction. Some values need pages of their own."""
    key = b"%03d" % ((number * NR_PARTS + part) % NR_KEYS)
    value = b"%d.%d " % (number, part) * 1000
    return key, value[: (number * 131 + part * 977) % 3000 + 10]


def write(path, size, is_mapped):
    env = lmdb.open(path, subdir=False, map_size=size, writemap=is_mapped)
    with env.begin() as txn:
        number = int(txn.get(b"last", b"0"))
    print(os.getpid(), flush=True)
    while True:
        number += 1
        with env.begin(write=True) as txn:
            for part in range(NR_PARTS):
                txn.put(*record(number, part))
            txn.put(b"last", b"%d" % number)
        print(number, flush=True)


def verify(path, size):
    env = lmdb.open(path, subdir=False, map_size=size, readonly=True, lock=False)
    with env.begin() as txn:
        found = dict(txn.cursor())
    last = int(found.pop(b"last", b"0"))
    records = (record(number, part) for number in range(1, last + 1) for part in range(NR_PARTS))
    assert found == dict(records), last
    print(last)


mode, path, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
if mode == "verify":
    verify(path, size)
else:
    write(path, size, mode == "map")
