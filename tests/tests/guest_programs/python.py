# SPDX-License-Identifier: MIT OR GPL-2.0
#
# What Python's mmap module does on a pool of 1 MiB. The arguments are the name of a
# function and the pool's path.

import errno
import mmap
import os
import stat
import sys

PAGE = mmap.PAGESIZE
SIZE = 1 << 20
path = sys.argv[2]
file = open(path, "r+b", buffering=0)
is_node = stat.S_ISCHR(os.fstat(file.fileno()).st_mode)


def refused(number, call):
    try:
        call()
    except OSError as error:
        assert error.errno == number, error
    else:
        assert False, "not refused"


def shared(length=SIZE, **options):
    return mmap.mmap(file.fileno(), length, **options)


def length_zero_maps_all():
    # Python asks fstat, which knows the size of regular files.
    if is_node:
        refused(errno.EINVAL, lambda: shared(0))
        return
    with shared(0) as mapping:
        assert len(mapping) == mapping.size() == SIZE
        mapping[-1] = 7
    assert os.pread(file.fileno(), 1, SIZE - 1) == b"\7"


def longer_than_the_file():
    # Python refuses for regular files what the kernel would allow.
    if is_node:
        with shared(2 * SIZE) as mapping:
            assert mapping[SIZE - 1] == 0
        return
    try:
        shared(2 * SIZE)
    except ValueError as error:
        assert "greater than file size" in str(error)
    else:
        assert False, "not refused"


def access_read():
    os.pwrite(file.fileno(), b"hello", 0)
    reader = open(path, "rb", buffering=0)
    with mmap.mmap(reader.fileno(), SIZE, access=mmap.ACCESS_READ) as mapping:
        assert mapping[:5] == b"hello"
        try:
            mapping[0] = 1
        except TypeError:
            pass
        else:
            assert False, "written"
    refused(errno.EACCES, lambda: mmap.mmap(reader.fileno(), SIZE, access=mmap.ACCESS_WRITE))


def access_write():
    with shared(access=mmap.ACCESS_WRITE) as mapping, shared() as other:
        mapping[PAGE : PAGE + 5] = b"hello"
        assert other[PAGE : PAGE + 5] == b"hello"
        assert os.pread(file.fileno(), 5, PAGE) == b"hello"
        os.pwrite(file.fileno(), b"jelly", PAGE)
        assert mapping[PAGE : PAGE + 5] == b"jelly"


def access_copy():
    os.pwrite(file.fileno(), b"theirs", 0)
    with shared(access=mmap.ACCESS_COPY) as mapping:
        mapping[:6] = b"mine!!"
        assert mapping[:6] == b"mine!!"
        assert os.pread(file.fileno(), 6, 0) == b"theirs"
        os.pwrite(file.fileno(), b"later", 2 * PAGE)
        assert mapping[2 * PAGE : 2 * PAGE + 5] == b"later"


def with_an_offset():
    os.pwrite(file.fileno(), b"there", 4 * PAGE)
    with shared(PAGE, offset=4 * PAGE) as mapping:
        assert mapping[:5] == b"there"
        assert len(mapping) == PAGE


def finding_and_moving():
    with shared() as mapping:
        # Across the border of two pages.
        mapping[3 * PAGE - 2 : 3 * PAGE + 4] = b"needle"
        assert mapping.find(b"needle") == 3 * PAGE - 2
        assert mapping.rfind(b"needle") == 3 * PAGE - 2
        assert mapping.find(b"thread") == -1
        mapping.move(7 * PAGE - 3, 3 * PAGE - 2, 6)
        assert mapping.rfind(b"needle") == 7 * PAGE - 3
        assert os.pread(file.fileno(), 6, 7 * PAGE - 3) == b"needle"
        assert mapping[: 8 * PAGE].count(b"needle") == 2


def as_a_file():
    with shared() as mapping:
        mapping.write(b"one\ntwo\n")
        mapping.seek(0)
        assert mapping.readline() == b"one\n"
        assert mapping.readline() == b"two\n"
        assert mapping.tell() == 8
        mapping.seek(-1, os.SEEK_END)
        mapping.write_byte(255)
        assert os.pread(file.fileno(), 2, SIZE - 1) == b"\377"


def flushing_and_advising():
    with shared() as mapping:
        mapping[:4] = b"kept"
        mapping.flush()
        mapping.flush(0, PAGE)
        for advice in "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED DONTFORK DOFORK".split():
            mapping.madvise(getattr(mmap, "MADV_" + advice))
        assert mapping[:4] == b"kept"
        if is_node:
            # It is fallocate, which is for regular files.
            refused(errno.ENODEV, lambda: mapping.madvise(mmap.MADV_REMOVE, 0, PAGE))
        else:
            mapping.madvise(mmap.MADV_REMOVE, 0, PAGE)
            assert mapping[:4] == bytes(4)


def resizing():
    with shared() as mapping:
        mapping[:4] = b"kept"
        if is_node:
            # ftruncate is for regular files.
            refused(errno.EINVAL, lambda: mapping.resize(2 * SIZE))
            return
        mapping.resize(2 * SIZE)
        assert len(mapping) == os.fstat(file.fileno()).st_size == 2 * SIZE
        mapping[-4:] = b"last"
        assert os.pread(file.fileno(), 4, 2 * SIZE - 4) == b"last"
        mapping.resize(PAGE)
        assert os.fstat(file.fileno()).st_size == PAGE
        assert mapping[:4] == b"kept"


def a_child_shares_it():
    with shared() as mapping:
        mapping[:6] = b"parent"
        child = os.fork()
        if child == 0:
            is_seen = mapping[:6] == b"parent"
            mapping[PAGE : PAGE + 5] = b"child"
            os._exit(0 if is_seen else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert mapping[PAGE : PAGE + 5] == b"child"


globals()[sys.argv[1]]()
