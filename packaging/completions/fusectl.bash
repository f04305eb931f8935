# Completion of fusectl for bash (4.4 or later), to be installed as
# bash-completion/completions/fusectl. It runs no program, and looks at no mountpoint:
# the daemon behind it may hang.

# _fusectl_mountpoints adds the mountpoints of FUSE file systems that begin with the
# word at the cursor.
_fusectl_mountpoints() {
	local lines line rest dir word
	printf -v word %b "${1//\\/\\\\}"
	mapfile -t lines </proc/self/mountinfo
	for line in "${lines[@]}"; do
		rest=${line#* - }
		[[ ${rest%% *} == @(fuse|fuseblk)?(.*) ]] || continue
		line=${line#* * * * }
		dir=${line%% *}
		printf -v dir %b "${dir//\\/\\0}" # %b wants \040 as \0040
		[[ $dir != "$word"* ]] || COMPREPLY+=("$(printf %q "$dir")")
	done
}

_fusectl() {
	local word=$2 command='' text flags='--json -V --version -h --help'
	COMPREPLY=()
	for text in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ $command || $text == -* ]] || command=$text
	done
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
	elif [[ ! $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'list check abort' -- "$word")
	else
		_fusectl_mountpoints "$word"
		[[ $command == abort ]] || compopt -o default
	fi
}

complete -F _fusectl fusectl
