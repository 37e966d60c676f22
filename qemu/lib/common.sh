# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What every script of the harness shares: where things are, how to speak, how
# to run a long step, how to make something once. Source it after `set -eu`.

# The statuses of qemu/run that are not the guest command's own. See qemu/run.
# shellcheck disable=SC2034
readonly DIED=122 COMPLAINED=123 TIMED_OUT=124 NOT_SET_UP=125

top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd -P)
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mmap_pool
# The first script makes a relative BUILD absolute, before any script goes elsewhere.
build=${BUILD:+$(realpath -m -- "$BUILD")}
build=${build:-$top/build}
[[ ! ${BUILD-} ]] || export BUILD=$build
kernel_name=${KERNEL:-stock}

# What cannot be written ends no script.
say() { printf 'mmap_pool: %s\n' "$*" >&2 || true; }

# die MESSAGE [STATUS]: one clear line, then the end.
die() {
	say "$1"
	exit "${2:-$NOT_SET_UP}"
}

[[ $cache == /* ]] || die "XDG_CACHE_HOME=${cache%/mmap_pool}: an absolute path is wanted"

# writable FOLDER HINT: makes FOLDER. Dies with one line if it cannot be written.
writable() {
	{ mkdir -p "$1" && [[ -w $1 ]]; } 2>/dev/null || die "$1 cannot be written: $2"
}

# plain PATH: the name that PATH has for programs that take no spaces, as make does. PATH
# lies in the checkout, the cache or the build folder; qemu/enter mounts these a second time.
plain() {
	if [[ ! ${MMAP_POOL_ROOT-} && ${HOST_TOOLS-} == 1 ]]; then
		[[ $1 != *[[:space:]:]* ]] || die "HOST_TOOLS=1: make takes no path with a space or colon: $1"
		printf '%s\n' "$1"
		return
	fi
	case $1/ in
	"$build"/*) printf '%s\n' "/mmap_pool.build${1#"$build"}" ;;
	"$cache"/*) printf '%s\n' "/mmap_pool.cache${1#"$cache"}" ;;
	"$top"/*) printf '%s\n' "/mmap_pool.checkout${1#"$top"}" ;;
	*) die "$1 is neither in the checkout nor in the cache nor in the build folder" ;;
	esac
}

# plain_module FOLDER: the same for the folder that `qemu/enter --module` gets. One within the
# checkout keeps its place there, as it may refer to what lies beside it.
plain_module() {
	if [[ ! ${MMAP_POOL_ROOT-} && ${HOST_TOOLS-} == 1 || $1 == "$top"/* ]]; then
		plain "$1"
	else
		echo /mmap_pool.module
	fi
}

# real_paths MODULE COMMAND…: COMMAND, whose messages name real paths for plain ones. MODULE
# is the folder that `qemu/enter --module` gets.
real_paths() {
	local pair path script=()
	for pair in "build|$build" "cache|$cache" "checkout|$top" "module|$1"; do
		path=$(printf '%s' "${pair#*|}" | sed 's/[&|\\]/\\&/g')
		script+=(-e "s|/mmap_pool\\.${pair%%|*}\\b|$path|g")
	done
	shift
	"$@" 2>&1 | sed -u "${script[@]}"
}

# Ends a whole process group, politely and then for certain.
end_group() {
	kill -TERM -- "-$1" 2>/dev/null || return 0
	local _
	for _ in {1..30}; do
		kill -0 -- "-$1" 2>/dev/null || return 0
		sleep 0.1
	done
	kill -KILL -- "-$1" 2>/dev/null || true
}

# The last line of a log, short and free of control characters.
last_line() {
	tail -c 400 "$1" 2>/dev/null | tr '\r' '\n' | grep -v '^[[:space:]]*$' |
		tail -n 1 | tr -cd '[:print:]' | cut -c "1-${2:-60}" || true
}

# step WHAT LOG COMMAND…: run a long command quietly.
#
# The output goes to LOG. Meanwhile the person waiting sees what runs, for how
# long and what it says last: one line that changes on a terminal, a line now
# and then elsewhere. On failure the end of the log and its place are shown, and
# the command's status is returned. The command gets a process group of its own
# so that ending this script ends everything under it.
step() {
	local what=$1 log=$2 began=$SECONDS pid status=0 tick=0 tty=
	shift 2
	[[ -t 2 && ${TERM:-dumb} != dumb ]] && tty=1
	{ mkdir -p "${log%/*}" && : >"$log"; } 2>/dev/null || { say "$what: $log cannot be written"; return "$NOT_SET_UP"; }

	set -m
	"$@" </dev/null >"$log" 2>&1 &
	pid=$!
	set +m
	# shellcheck disable=SC2064 # the pid of now is meant
	trap "end_group $pid; exit 130" INT TERM HUP
	while kill -0 "$pid" 2>/dev/null; do
		if [[ $tty && tick -ge 20 ]]; then
			printf '\r\033[Kmmap_pool: %s: %d s: %s' "$what" \
				$((SECONDS - began)) "$(last_line "$log" 50)" >&2
		elif [[ ! $tty ]] && ((tick > 0 && tick % 100 == 0)); then
			say "$what: $((SECONDS - began)) s so far: $(last_line "$log")"
		fi
		tick=$((tick + 1))
		# A short command should not wait for us; a long one need not be watched.
		if ((tick < 20)); then sleep 0.05; else sleep 0.2; fi
	done
	wait "$pid" || status=$?
	trap - INT TERM HUP
	[[ $tty ]] && printf '\r\033[K' >&2

	if ((status)); then
		tail -n 20 "$log" >&2
		say "$what: failed after $((SECONDS - began)) s; the whole log: $log"
	elif ((SECONDS - began >= 2)); then
		say "$what: done in $((SECONDS - began)) s"
	fi
	return "$status"
}

# locked FILE: hold FILE's lock until this shell ends.
locked() {
	local lock
	mkdir -p "${1%/*}"
	exec {lock}>"$1"
	if ! flock -n "$lock"; then
		say "waiting for another run that is at ${1##*/}"
		flock "$lock"
	fi
}

# recipe_hash FILE…: of what the files say, whatever their comments. - is standard input.
recipe_hash() { sed '/^[[:space:]]*#/d; /^[[:space:]]*$/d' "$@" | sha256sum | cut -c 1-12; }

# has_option CONFIG OPTION: whether a kernel with that configuration has it built in.
has_option() { grep -qx "$2=y" "$1"; }

# contents FOLDER: a line for each file in FOLDER and some levels below, with its size, and
# one with a checksum for those at the top, which a guest boots. It takes 50 ms.
contents() (
	cd "$1" || exit
	{
		find . -maxdepth "${depth:-4}" ! -type d ! -name '.*.cmd' -printf '%s %p\n'
		find . -maxdepth 1 -type f -size -64M -exec cksum {} +
	} | LC_ALL=C sort
)

# intact FOLDER: whether FOLDER has what it had when it was made, as far as contents tells;
# one line with what to remove if not. What an older version has made counts as intact.
intact() {
	local lost
	if [[ ! -s $1.contents ]]; then
		contents "$1" >"$1.contents.$$"
		mv "$1.contents.$$" "$1.contents"
	fi
	lost=$(contents "$1" | LC_ALL=C comm -23 "$1.contents" - | sed -n 's/^[^.]* \.\///p' | head -n 1)
	[[ ! $lost ]] || {
		say "the cache is damaged: $1/$lost is not what it was; remove the folder: rm -rf $(printf %q "$1")"
		return "$NOT_SET_UP"
	}
}

# make_once FOLDER COMMAND…: make FOLDER unless it is there and intact. With
# MMAP_POOL_LOOK=1 nothing is made, and the status is 1 if FOLDER is not there.
#
# COMMAND is called with an empty folder, which becomes FOLDER by one rename when
# COMMAND succeeds: what exists is finished, and of two makers one waits.
make_once() (
	folder=$1
	shift
	[[ ! -d $folder ]] || { intact "$folder"; exit; }
	[[ ! ${MMAP_POOL_LOOK-} ]] || exit 1
	locked "$folder.lock"
	[[ ! -d $folder ]] || { intact "$folder"; exit; }
	# We hold the lock, so whatever lies here was left by an interrupted run.
	rm -rf "$folder".new.*
	new=$folder.new.$$
	mkdir -p "$new"
	trap 'rm -rf "$new"' EXIT
	"$@" "$new" || exit
	contents "$new" >"$folder.contents" || exit
	mv -T "$new" "$folder"
)
