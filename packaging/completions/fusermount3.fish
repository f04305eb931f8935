# Completion of fusermount3 for fish (3.4 or later), to be installed as
# vendor_completions.d/fusermount3.fish, with a link fusermount.fish where that name is
# this program, too. Nothing looks at a mountpoint: the daemon behind it may hang.

# Prints, each with a NUL, the mountpoints of the caller's FUSE file systems, in
# full, below ~, or below the working directory, as the word at the cursor was
# begun; root may unmount anybody's. Names with a tab are left out: fish would take
# what follows for a description.
function __fusermount3_mountpoints
    set -l base
    set -l shown
    set -l word (commandline -ct)
    switch (string replace -r '^["\']' '' -- "$word")
        case '~/*'
            set base $HOME/
            set shown '~/'
        case './*'
            set base (pwd -P)/
            set shown ./
        case '' '/*'
        case '*'
            set base (pwd -P)/
    end
    set -l cut (string length -- "$base")
    set -l uid (id -ru)
    while read -l line
        set -l halves (string split -m 1 ' - ' -- $line)
        set -l system (string split ' ' -- $halves[2])
        string match -qr '^fuse(blk)?(\..*)?$' -- $system[1]; or continue
        test $uid = 0; or string match -q "*,user_id=$uid,*" -- ,$system[-1],; or continue
        set -l field (string split ' ' -- $halves[1])[5]
        string match -q '*\\\\011*' -- $field; and continue
        set -l dir (printf %b (string replace -a '\\' '\\0' -- $field) | string collect)
        test (string sub -l $cut -- "$dir" | string collect) = "$base"; or continue
        printf '%s%s\0' "$shown" (string sub -s (math $cut + 1) -- "$dir" | string collect)
    end </proc/self/mountinfo
end

# Says whether any file will do: to mount over it.
function __fusermount3_any
    not __fusermount3_mounted
    and not string match -q -- '-*' (commandline -ct)
end

function __fusermount3_options
    printf '%s\t%s\n' \
        ro read-only rw 'read and write' \
        nosuid 'setuid bits do not count' suid 'setuid bits count (root)' \
        nodev 'no device files' dev 'device files (root)' \
        noexec 'no programs' exec programs \
        sync 'writes are synchronous' async 'writes are not synchronous' \
        dirsync 'changes of directories are synchronous' \
        noatime 'do not keep times of access' atime 'keep times of access' \
        nodiratime 'do not keep times of access of directories' \
        norelatime 'no effect' nostrictatime 'no effect' \
        nosymfollow 'do not follow symbolic links' symfollow 'follow symbolic links' \
        fsname= 'source in the table of mounts' subtype= 'type after fuse.' \
        allow_other 'let other users in' allow_root 'for the program that serves the files' \
        default_permissions 'the kernel checks permissions' max_read= 'greatest read, in bytes' \
        blkdev 'on a block device (root)' blksize= 'block size, with blkdev' \
        auto_unmount 'unmount when the daemon has died' nonempty 'no effect' large_read 'no effect' \
        fd= 'no effect' rootmode= 'no effect' user_id= 'no effect' group_id= 'no effect'
end

# Says whether the line is about a mount that is there: a word of it has -u, not as
# a letter of what -o takes.
function __fusermount3_mounted
    string match -qr -- '^(-[^-o]*u|--(unmount|auto-unmount)$)' (commandline -opc)
end

complete -c fusermount3 -f
complete -c fusermount3 -n __fusermount3_mounted -k -a '(__fusermount3_mountpoints | string split0)'
complete -c fusermount3 -n __fusermount3_any -F
complete -c fusermount3 -s u -l unmount -d 'unmount MOUNTPOINT'
complete -c fusermount3 -s z -l lazy -d 'with -u: detach now, clean up when no longer in use'
complete -c fusermount3 -s q -l quiet -d 'with -u: print no errors'
complete -c fusermount3 -s o -l options -x -a '(__fish_complete_list , __fusermount3_options)' -d 'mount options'
complete -c fusermount3 -l auto-unmount -d 'wait until the socket closes, and unmount'
complete -c fusermount3 -l sync-init -d 'send the device first, mount when the caller answers'
complete -c fusermount3 -l comm-fd -x -d 'number of the socket'
complete -c fusermount3 -l features -f -a text -d 'print the features, as a mask or as names'
complete -c fusermount3 -s V -l version -d 'print the version'
complete -c fusermount3 -s h -l help -d 'print the flags'
complete -c fusermount -w fusermount3
