# Completion for bash. It is looked up by the name of each tool: make install links
# them to this file.

# _pcap_replay_flags TOOL: a word for each flag. Behind "=" stands what its value is,
# or which values there are.
_pcap_replay_flags() {
  case $1 in
    # made by: go test ./internal/acceptance -run TestCompletions -update
    pcap-tarls)
      echo -o=FILE --output=FILE --match=REGEXP --names -0 --null --index --verify -i --ignore-zeros --strict -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    pcap-tarcat)
      echo -o=FILE --output=FILE --name=NAME --select=FILE --raw -C=DIR --directory=DIR -z=lz4,zstd,gzip,none --compress=lz4,zstd,gzip,none --max-bytes=SIZE --list -i --ignore-zeros --strict -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    pcap-map)
      echo -o=FILE --output=FILE -j=N --jobs=N --strict -i --ignore-zeros --json --chart --svg=FILE --against=REFERENCE --speed=N --memory=SIZE --tmp=FOLDER --decap=LIST --decap-depth=N --map=RULE --src-mac=ADDRESS --dst-mac=ADDRESS --mac=RULE --vlan=RULE --port=RULE --from-records=FILE --match=REGEXP --suffix=TEXT -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    pcap-merge)
      echo --select=FILE -i --ignore-zeros --align --loop=N --unique-flows --shard=I/N --dedup --dedup-window=DURATION --reorder=DURATION --snaplen=N --memory=SIZE --tmp=FOLDER --follow=FOLDER --idle=DURATION --strict --match=REGEXP --suffix=TEXT --from=TIME --to=TIME --decap=LIST --decap-depth=N --filter=EXPRESSION --filter-file=FILE --map=RULE --src-mac=ADDRESS --dst-mac=ADDRESS --mac=RULE --vlan=RULE --port=RULE -o=FILE --output=FILE -z=lz4,zstd,gzip,none --compress=lz4,zstd,gzip,none --pcapng -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    pcap-pace)
      echo --speed=X --fit=DURATION --span=DURATION --select=FILE --pps=N --bps=N --max-gap=DURATION --loop=N --unique-flows --start-at=TIME --lead=DURATION --exact --asap --keep-timestamps --strict --from=TIME --to=TIME -o=FILE --output=FILE -z=lz4,zstd,gzip,none --compress=lz4,zstd,gzip,none --pcapng -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    pcap-inject)
      echo -i=INTERFACE --interface=INTERFACE --split=EXPRESSION -w=FILE --write=FILE --to=URL --delay=DURATION --max-gap=DURATION --at --asap --oversize=error,skip,truncate,segment --short=pad,asis,skip --link=refuse,ethernet --tx=auto,packet,bypass,xdp --workers=N --realtime --spin --verify --limit=N --duration=DURATION --fail-late=DURATION --strict --decap=LIST --decap-depth=N --filter=EXPRESSION --filter-file=FILE --map=RULE --src-mac=ADDRESS --dst-mac=ADDRESS --mac=RULE --vlan=RULE --port=RULE -q --quiet -v --verbose --report=FILE --progress=auto,always,never --version -h --help ;;
    # made until here
  esac
}

# _pcap_replay_values KIND: the values of a flag; of some kinds they are files.
_pcap_replay_values() {
  case $1 in
    INTERFACE) (cd /sys/class/net && printf '%s\n' */ | tr -d /) ;;
    [a-z]*) tr , '\n' <<< "$1" ;;
  esac 2> /dev/null
}

# _pcap_replay_members ARCHIVE: expressions that match the members. The index of an
# archive tells them at once; without one, it is what is found in a second.
_pcap_replay_members() {
  local limit=(timeout 1)
  type timeout > /dev/null || limit=()
  "${limit[@]}" pcap-tarls --quiet --names -- "$1" < /dev/null |
    sed -e '/\\/d' -e 's/[][+*?(){}^$|]/\\&/g' # names that pcap-tarls escapes are left out
} 2> /dev/null

# _pcap_replay TOOL PART: readline replaces only PART of a word, what stands behind
# the last of COMP_WORDBREAKS. Where nothing is found, it offers files.
_pcap_replay() {
  local tool=${1##*/} flags flag='' archive='' candidate
  local before=${COMP_LINE:0:COMP_POINT} kept words word
  before=${before%"$2"}
  kept=${before##*[[:blank:]]}
  mapfile -t words < <(xargs printf '%s\n' <<< "${before%"$kept"}" 2> /dev/null) # without their quotes

  flags=" $(_pcap_replay_flags "$tool") "
  for word in "${words[@]:1}"; do
    if [[ $flag ]]; then
      flag='' # this was its value
    elif [[ $archive || $word != -?* ]]; then
      archive=${archive:-$word}
    elif [[ $flags == *" $word="* ]]; then
      flag=$word
    fi
  done
  if [[ $kept == --*= ]]; then
    flag=${kept%=}
    kept=''
  fi

  if [[ $kept == [\'\"]* ]]; then
    kept=${kept:1}
    word=$kept$2
  else
    # shellcheck disable=SC2162 # backslashes are to go
    IFS= read word <<< "$kept$2"
    # shellcheck disable=SC2162
    IFS= read kept <<< "$kept"
  fi
  COMPREPLY=()
  while IFS= read -r candidate; do
    [[ $candidate != "$word"* ]] || COMPREPLY+=("${candidate#"$kept"}")
  done < <(
    if [[ $flag ]]; then
      flags=${flags#*" $flag="}
      _pcap_replay_values "${flags%% *}"
    elif [[ ! $archive && $word == -* ]]; then
      tr -s ' ' '\n' <<< "$flags" | sed 's/=.*//'
    elif [[ $archive && $tool == pcap-tarcat ]]; then
      _pcap_replay_members "${archive/#\~\//$HOME/}"
    fi
  )
  # Members are quoted as file names are.
  [[ $flag || ! $archive || $tool != pcap-tarcat ]] || compopt -o filenames 2> /dev/null || true
}

complete -o bashdefault -o default -F _pcap_replay \
  pcap-tarls pcap-tarcat pcap-map pcap-merge pcap-pace pcap-inject
