# Completion of fusermount3 for bash (4.4 or later), to be installed as
# bash-completion/completions/fusermount3. bash-completion has its own for fusermount,
# until this one is loaded. It runs no program, and looks at no mountpoint: the daemon behind it
# may hang.

_fusermount3_flags='-u --unmount -z --lazy -q --quiet -o --options --auto-unmount --sync-init --comm-fd --features
	--features=text -V --version -h --help'

_fusermount3_options='ro rw nosuid suid nodev dev noexec exec sync async dirsync
	noatime atime nodiratime norelatime nostrictatime nosymfollow symfollow
	fsname= subtype= allow_other allow_root default_permissions max_read= blkdev
	blksize= auto_unmount nonempty large_read fd= rootmode= user_id= group_id='

# _fusermount3_mountpoints sets mountpoints to those of the caller's FUSE file
# systems; root may unmount anybody's.
_fusermount3_mountpoints() {
	local lines line rest dir
	mountpoints=()
	mapfile -t lines </proc/self/mountinfo
	for line in "${lines[@]}"; do
		rest=${line#* - }
		[[ ${rest%% *} == @(fuse|fuseblk)?(.*) ]] || continue
		((UID == 0)) || [[ ,${rest##* }, == *,user_id=$UID,* ]] || continue
		line=${line#* * * * }
		dir=${line%% *}
		printf -v dir %b "${dir//\\/\\0}" # %b wants \040 as \0040
		mountpoints+=("$dir")
	done
}

# _fusermount3_words sets words to the words of the line up to the cursor, and
# piece to how much of the last one readline will replace: it has cut them at =
# and : as well, and before @. $1 is what bash says of that.
_fusermount3_words() {
	local line=${COMP_LINE:0:COMP_POINT} i
	words=()
	for ((i = 0; i < COMP_CWORD; i++)); do
		_fusermount3_word "${COMP_WORDS[i]}"
		line=${line#*"${COMP_WORDS[i]}"}
	done
	piece=${line#"${line%%[![:blank:]]*}"}
	_fusermount3_word "$piece"
	[[ $piece != [=:]* ]] || piece=''
	[[ $1 != @* ]] || piece=$1
}

# _fusermount3_word adds a word, or a piece of one that was cut.
_fusermount3_word() {
	if ((${#words[@]})) && [[ $line != [[:blank:]]* ]]; then
		words[-1]+=$1
	else
		words+=("$1")
	fi
}

# _fusermount3_plain sets plain to the text $1 without its quotes, quote to a
# quote that is still open, and before to the text before that.
_fusermount3_plain() {
	local text=$1 char
	plain='' quote='' before=''
	while [[ $text ]]; do
		char=${text:0:1} text=${text:1}
		if [[ $char == \\ && $quote != "'" ]]; then
			char=${text:0:1} text=${text:1}
		elif [[ $char == "$quote" ]]; then
			quote='' char=''
		elif [[ ! $quote && $char == [\'\"] ]]; then
			quote=$char char='' before=$plain
		fi
		plain+=$char
	done
}

# _fusermount3_quoted sets quoted to the text $1 as it is written where quote is
# open.
_fusermount3_quoted() {
	local i char
	quoted=''
	case $quote in
	"'") quoted=${1//\'/\'\\\'\'} ;;
	'"')
		for ((i = 0; i < ${#1}; i++)); do
			char=${1:i:1}
			[[ $char != [\"\\\$\`] ]] || quoted+=\\
			quoted+=$char
		done
		;;
	*) [[ ! $1 ]] || printf -v quoted %q "$1" ;;
	esac
}

# _fusermount3_unmountable completes the mountpoint word: in full, below ~, or
# below the working directory, as it was begun.
_fusermount3_unmountable() {
	local mountpoints dir base='' shown='' tilde='' replaced plain quote before quoted
	_fusermount3_plain "${word%"$piece"}"
	replaced=$plain
	_fusermount3_plain "$word"
	[[ ! $quote ]] || replaced=$before
	if [[ $word == \~/* ]]; then
		base=$HOME/ shown=\~/
	elif [[ $plain == ./* ]]; then
		base=$(pwd -P)/ shown=./
	elif [[ $plain == [!/]* ]]; then
		base=$(pwd -P)/
	fi
	[[ $shown$replaced != \~/ ]] || tilde=\~/
	_fusermount3_mountpoints
	for dir in "${mountpoints[@]}"; do
		[[ $dir == "$base"?* ]] || continue
		dir=$shown${dir#"$base"}
		[[ $dir == "$plain"* ]] || continue
		dir=${dir#"$replaced"}
		_fusermount3_quoted "${dir#"$tilde"}"
		COMPREPLY+=("$tilde$quoted")
	done
}

# _fusermount3_option completes the last of a list $1 of mount options.
_fusermount3_option() {
	local option name=${1##*,} list
	name=${name#[\'\"]}
	list=${piece%"$name"}
	compopt -o nospace
	for option in $_fusermount3_options; do
		[[ $option != "$name"* ]] || COMPREPLY+=("${list#[\'\"]}$option")
	done
}

# _fusermount3_flag completes the flag word.
_fusermount3_flag() {
	local flag
	for flag in $_fusermount3_flags; do
		[[ $flag != "$word"* ]] || COMPREPLY+=("${flag#"${word%"$piece"}"}")
	done
}

# _fusermount3_seen sets what the words before the last one say: mode, whether
# flags have ended, and which flag wants the last one as its value.
_fusermount3_seen() {
	local word
	mode=mount ended='' wants=''
	for word in "${words[@]:1:${#words[@]}-2}"; do
		if [[ $wants || $ended ]]; then
			wants=''
			continue
		fi
		case $word in
		--) ended=yes ;;
		--options | --comm-fd) wants=$word ;;
		--unmount | --auto-unmount) mode=unmount ;;
		--*) ;;
		-*)
			[[ ${word%%o*} != *u* ]] || mode=unmount
			[[ ${word#*o} ]] || wants=--options
			;;
		esac
	done
}

# _fusermount3_mountpoint completes the mountpoint word as the mode wants it.
_fusermount3_mountpoint() {
	if [[ $mode == unmount ]]; then
		_fusermount3_unmountable
	else
		compopt -o default
	fi
}

_fusermount3() {
	local words piece mode ended wants word
	COMPREPLY=()
	_fusermount3_words "$2"
	_fusermount3_seen
	word=${words[-1]}
	if [[ $wants == --options ]]; then
		_fusermount3_option "$word"
	elif [[ $wants ]]; then
		return # a number of the caller's
	elif [[ ! $ended && $word == --options=* ]]; then
		_fusermount3_option "${word#*=}"
	elif [[ ! $ended && $word == -[!-]* && $word == *o* ]]; then
		_fusermount3_option "${word#*o}"
	elif [[ ! $ended && $word == -* ]]; then
		_fusermount3_flag
	else
		_fusermount3_mountpoint
	fi
}

complete -F _fusermount3 fusermount3 fusermount
