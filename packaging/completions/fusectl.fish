# Completion of fusectl for fish (3.4 or later), to be installed as
# vendor_completions.d/fusectl.fish. It looks at no mountpoint: the daemon behind it may
# hang.

# Prints the mountpoints of FUSE file systems, each with a NUL.
function __fusectl_mountpoints
    while read -l line
        set -l halves (string split -m 1 ' - ' -- $line)
        string match -qr '^fuse(blk)?(\..*)?$' -- (string split ' ' -- $halves[2])[1]; or continue
        set -l field (string split ' ' -- $halves[1])[5]
        string match -q '*\\\\011*' -- $field; and continue
        printf '%s\0' (printf %b (string replace -a '\\' '\\0' -- $field) | string collect)
    end </proc/self/mountinfo
end

set -l commands list check abort
complete -c fusectl -f
complete -c fusectl -n "not __fish_seen_subcommand_from $commands" -a list -d 'list FUSE mounts'
complete -c fusectl -n "not __fish_seen_subcommand_from $commands" -a check -d 'say what is wrong'
complete -c fusectl -n "not __fish_seen_subcommand_from $commands" -a abort -d 'end a mount that hangs'
complete -c fusectl -n "__fish_seen_subcommand_from $commands" -k -a '(__fusectl_mountpoints | string split0)'
complete -c fusectl -n '__fish_seen_subcommand_from list check' -F
complete -c fusectl -l json -d 'print JSON'
complete -c fusectl -s V -l version -d 'print the version'
complete -c fusectl -s h -l help -d 'print a summary'
