# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that every script of the harness uses: paths, messages, long steps, and things that
# are made once. Source it after `set -eu`.

# The statuses of qemu/run itself. All other statuses are those of the guest's command.
# shellcheck disable=SC2034
readonly DIED=122 COMPLAINED=123 TIMED_OUT=124 NOT_SET_UP=125

top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)

# ARCH=arm64 builds for another processor and emulates it. The triplet is also the name of the folder
# in which cargo puts its programs.
case ${ARCH:-x86_64} in
x86_64) unset ARCH && triplet=x86_64-unknown-linux-gnu ;;
arm64)
	export ARCH CROSS_COMPILE=aarch64-linux-gnu- CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu
	triplet=$CARGO_BUILD_TARGET
	;;
*)
	printf 'mmap_pool: ARCH=%s is unknown: set ARCH=x86_64 or ARCH=arm64\n' "$ARCH" >&2
	exit 2
	;;
esac
kernels=$top/qemu/kernels${ARCH:+.$ARCH}

cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mmap_pool
# The first script makes a relative BUILD absolute, before any script changes its folder.
build=${BUILD:+$(realpath -m -- "$BUILD")}
build=${build:-$top/build${ARCH:+/$ARCH}}
[[ ! ${BUILD-} ]] || export BUILD=$build

# say TEXT: prints a message. A message that cannot be written does not end the script.
say() { printf 'mmap_pool: %s\n' "$*" >&2 || true; }

# die MESSAGE [STATUS]: prints one line and exits.
die() {
	say "$1"
	exit "${2:-$NOT_SET_UP}"
}

# kernel_named NAME: sets $kernel_name. A path is the kernel `tree`, whose build tree is there.
kernel_named() {
	kernel_name=$1
	[[ $1 == */* ]] || return 0
	MMAP_POOL_TREE=$(realpath -e -- "$1" 2>/dev/null) || die "KERNEL=$1: there is no such folder; name a kernel build tree"
	export MMAP_POOL_TREE KERNEL=tree
	kernel_name=tree
}
kernel_named "${KERNEL:-stock}"

# description: prints the path of the kernel's description.
description() { printf '%s\n' "$kernels/${kernel_name%%@*}"; }

[[ $cache == /* ]] || die "XDG_CACHE_HOME=${cache%/mmap_pool} is not an absolute path: set one that begins with /"

# writable FOLDER HINT: makes FOLDER. Dies with one line if it is not writable.
writable() {
	{ mkdir -p "$1" && [[ -w $1 ]]; } 2>/dev/null || die "cannot write to $1: $2"
}

# plain PATH: prints a second path of PATH, without spaces, for make and other programs that
# cannot handle them. PATH is in the checkout, the cache or the build folder; qemu/enter mounts
# these folders a second time.
plain() {
	if [[ ! ${MMAP_POOL_ROOT-} && ${HOST_TOOLS-} == 1 ]]; then
		[[ $1 != *[[:space:]:]* ]] || die "HOST_TOOLS=1: make cannot handle a space or colon in a path: move $1"
		printf '%s\n' "$1"
		return
	fi
	case $1/ in
	"$build"/*) printf '%s\n' "/mmap_pool.build${1#"$build"}" ;;
	"$cache"/*) printf '%s\n' "/mmap_pool.cache${1#"$cache"}" ;;
	"$top"/*) printf '%s\n' "/mmap_pool.checkout${1#"$top"}" ;;
	*) die "$1 is not in the checkout, the cache or the build folder" ;;
	esac
}

# plain_module FOLDER: does the same for the folder of `qemu/enter --module`. A folder in the
# checkout keeps its place there, because its files may refer to files beside it.
plain_module() {
	if [[ ! ${MMAP_POOL_ROOT-} && ${HOST_TOOLS-} == 1 || $1 == "$top"/* ]]; then
		plain "$1"
	else
		echo /mmap_pool.module
	fi
}

# real_paths MODULE COMMAND…: runs COMMAND and replaces plain paths in its output with the real
# ones. MODULE is the folder of `qemu/enter --module`.
real_paths() {
	local pair path script=()
	for pair in "build|$build" "cache|$cache" "checkout|$top" "module|$1"; do
		path=$(printf '%s' "${pair#*|}" | sed 's/[&|\\]/\\&/g')
		script+=(-e "s|/mmap_pool\\.${pair%%|*}\\b|$path|g")
	done
	shift
	"$@" 2>&1 | sed -u "${script[@]}"
}

# end_group PID: sends SIGTERM to a process group, and SIGKILL if it is still there after 3 s.
end_group() {
	kill -TERM -- "-$1" 2>/dev/null || return 0
	local _
	for _ in {1..30}; do
		kill -0 -- "-$1" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -KILL -- "-$1" 2>/dev/null || true
}

# last_line LOG [LENGTH]: prints the last line of LOG, shortened and without control characters.
last_line() {
	tail -c 400 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' |
		tail -n 1 | tr -cd '[:print:]' | cut -c "1-${2:-60}" || true
}

# step WHAT LOG COMMAND…: runs a long command and writes its output to LOG.
#
# Meanwhile it shows what runs, for how long, and the last line of the log: on a terminal in
# one line that changes, elsewhere in a new line every 20 s. If the command fails, step shows
# the end of the log and its path, and returns the command's status. The command has its own
# process group, so that everything under it ends with this script.
step() {
	local what=$1 log=$2 began=$SECONDS pid status=0 tick=0 tty=
	shift 2
	[[ -t 2 && ${TERM:-dumb} != dumb ]] && tty=1
	{ mkdir -p "${log%/*}" && : >"$log"; } 2>/dev/null || { say "$what: cannot write the log $log"; return "$NOT_SET_UP"; }

	set -m
	"$@" </dev/null >"$log" 2>&1 &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the present value of pid
	trap "end_group $pid; exit 130" INT TERM HUP
	while kill -0 "$pid" 2>/dev/null; do
		if [[ $tty && tick -ge 20 ]]; then
			printf '\r\033[Kmmap_pool: %s: %d s: %s' "$what" \
				$((SECONDS - began)) "$(last_line "$log" 50)" >&2
		elif [[ ! $tty ]] && ((tick > 0 && tick % 100 == 0)); then
			say "$what: running for $((SECONDS - began)) s: $(last_line "$log")"
		fi
		tick=$((tick + 1))
		# Poll often at first, so that a short command is not slowed down.
		if ((tick < 20)); then sleep 0.05; else sleep 0.2; fi
	done
	wait "$pid" || status=$?
	trap - INT TERM HUP
	[[ $tty ]] && printf '\r\033[K' >&2

	if ((status)); then
		tail -n 20 "$log" >&2
		say "$what: failed after $((SECONDS - began)) s; read the whole log: $log"
	elif ((SECONDS - began >= 2)); then
		say "$what: done in $((SECONDS - began)) s"
	fi
	return "$status"
}

# locked FILE: takes the lock of FILE and holds it until this shell ends.
locked() {
	local lock
	mkdir -p "${1%/*}"
	exec {lock}>"$1"
	if ! flock -n "$lock"; then
		say "waiting for another run, which holds ${1##*/}"
		flock "$lock"
	fi
}

# recipe_hash FILE…: prints a hash of the files without their comments. - is standard input.
recipe_hash() { sed '/^[[:space:]]*#/d; /^[[:space:]]*$/d' "$@" | sha256sum | cut -c 1-12; }

# has_option CONFIG OPTION: checks whether the kernel configuration CONFIG has OPTION built in.
has_option() { grep -qx "$2=y" "$1"; }

# contents FOLDER: prints a line with the size of each file in FOLDER and some levels below, and
# a checksum of each file at the top, because a guest boots those. It takes 50 ms.
contents() (
	cd "$1" || exit
	{
		find . -maxdepth "${depth:-4}" ! -type d ! -name '.*.cmd' -printf '%s %p\n'
		find . -maxdepth 1 -type f -size -64M -exec cksum {} +
	} | LC_ALL=C sort
)

# intact FOLDER: checks that FOLDER still has what `contents` listed when it was made. If not,
# it prints one line that names the folder to remove. A folder without a list, from an older
# version of the harness, counts as intact.
intact() {
	local lost
	if [[ ! -s $1.contents ]]; then
		contents "$1" >"$1.contents.$$"
		mv "$1.contents.$$" "$1.contents"
	fi
	lost=$(contents "$1" | LC_ALL=C comm -23 "$1.contents" - | sed -n 's/^[^.]* \.\///p' | head -n 1)
	[[ ! $lost ]] || {
		say "the cache is damaged: $1/$lost has changed; remove the folder: rm -rf $(printf %q "$1")"
		return "$NOT_SET_UP"
	}
}

# make_once FOLDER COMMAND…: makes FOLDER unless it exists and is intact. With
# MMAP_POOL_LOOK=1 it makes nothing, and its status is 1 if FOLDER does not exist.
#
# COMMAND fills an empty folder. When COMMAND has succeeded, that folder is renamed to FOLDER.
# So a FOLDER that exists is complete. If two processes make the same folder, one waits.
make_once() (
	folder=$1
	shift
	[[ ! -d $folder ]] || { intact "$folder"; exit; }
	[[ ! ${MMAP_POOL_LOOK-} ]] || exit 1
	locked "$folder.lock"
	[[ ! -d $folder ]] || { intact "$folder"; exit; }
	# This process holds the lock, so these folders are from interrupted runs.
	rm -rf "$folder".new.*
	new=$folder.new.$$
	mkdir -p "$new"
	trap 'rm -rf "$new"' EXIT
	"$@" "$new" || exit
	contents "$new" >"$folder.contents" || exit
	mv -T "$new" "$folder"
)
