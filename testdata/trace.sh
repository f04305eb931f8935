#!/bin/sh
# Shows the system calls of one mount and one unmount by the helper:
#   sh testdata/trace.sh DEMO HELPER
# The calls of all processes of the demo are left in build/trace.txt.
set -eu

command -v strace >/dev/null || {
	echo 'strace is not installed: apt-get install strace (or dnf, apk, pacman)' >&2
	exit 1
}
calls=execve,setresuid,setresgid,setgroups,setfsuid,capset,prctl,seccomp
calls=$calls,open,openat,openat2,statx,statfs,fstatfs,fstat,readlinkat,name_to_handle_at,fchdir
calls=$calls,fsopen,fsconfig,fsmount,open_tree,move_mount,mount,umount2,statmount,listmount
calls=$calls,sendmsg,recvmsg,sendto,connect,read,write,exit_group
# Not every architecture and version of strace has all of them.
set -- "$@" "/^$(echo "$calls" | sed 's/,/$|^/g')\$"

if ! strace -f -qq -s 80 -o build/trace.txt -e trace="$3" "$1" -helper "$2" >build/trace.log 2>&1; then
	cat build/trace.log >&2
	exit 1
fi
# The main thread does all the work: the helper's other threads are the Go runtime's.
# Older versions of strace do not know the newest system calls.
awk '/execve\("[^"]*\/fusermount3",/ { helper[$1] = 1; print "" }
	$1 in helper { sub(/syscall_0x1c9/, "statmount"); sub(/syscall_0x1ca/, "listmount"); print }' build/trace.txt
