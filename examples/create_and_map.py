#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0
"""Creates a pool, maps it, writes through the mapping, and reads the same bytes through the
descriptor. Python's standard modules are enough."""

import ctypes
import fcntl
import mmap
import os


class Create(ctypes.Structure):
    """struct mmap_pool_create of <linux/mmap_pool.h>."""

    _fields_ = [
        ("size_bytes", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("strategy", ctypes.c_uint32),
        ("backing_fd", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        ("name", ctypes.c_char * 64),
    ]


class Info(ctypes.Structure):
    """struct mmap_pool_info."""

    _fields_ = [
        ("size_bytes", ctypes.c_uint64),
        ("nr_resident_pages", ctypes.c_uint64),
        ("nr_faults", ctypes.c_uint64),
        ("nr_allocated_pages", ctypes.c_uint64),
        ("page_size_bytes", ctypes.c_uint32),
        ("abi_version", ctypes.c_uint32),
        ("seals", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("strategy", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32 * 3),
    ]


def ioc(direction, number, structure):
    """_IOC() of <linux/ioctl.h>; the type byte is MMAP_POOL_IOC_MAGIC."""
    return direction << 30 | ctypes.sizeof(structure) << 16 | 0xBC << 8 | number


MMAP_POOL_INFO = ioc(2, 0x00, Info)
MMAP_POOL_CREATE = ioc(1, 0x01, Create)

node = os.open("/dev/mmap_pool", os.O_RDWR)
pool = fcntl.ioctl(node, MMAP_POOL_CREATE, Create(size_bytes=1 << 20, name=b"example"))
# The pool is a regular file. Length 0 maps all of it.
with mmap.mmap(pool, 0) as memory:
    memory[4096:4101] = b"hello"
    text = os.pread(pool, 5, 4096).decode()
    info = Info()
    fcntl.ioctl(pool, MMAP_POOL_INFO, info)
    nr_pages = info.size_bytes // info.page_size_bytes
    print(f"{text}, and {info.nr_resident_pages} of {nr_pages} pages hold memory")
