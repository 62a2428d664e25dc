# Completion for fish. It is looked up by the name of each tool: make install links
# them to this file.

function __pcap_replay_interfaces
    string match -rg '^/sys/class/net/(.*)/$' /sys/class/net/*/
end

# The first operand in front of the cursor. Arguments are the flags that take a value.
function __pcap_replay_archive
    set -l valued $argv
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        if contains -- $words[1] $valued
            set -e words[1]
        else if not string match -q -- '-?*' $words[1]
            echo $words[1]
            return 0
        end
        set -e words[1]
    end
    return 1
end

# Expressions that match the members of an archive. Its index tells them at once;
# without one, it is what is found in a second.
function __pcap_replay_members
    set -l archive (string replace -r '^~/' "$HOME/" -- (__pcap_replay_archive $argv))
    set -l limit
    command -q timeout; and set limit timeout 1
    command $limit pcap-tarls --quiet --names -- $archive </dev/null 2>/dev/null |
        string match -v '*\\\\*' | # names that pcap-tarls escapes
        string replace -ar '[][+*?(){}^$|]' '\\\\$0'
end

# made by: go test ./internal/acceptance -run TestCompletions -update
complete -c pcap-tarls -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-tarls -l match -x -d 'list only members whose name matches REGEXP (may be given again)'
complete -c pcap-tarls -l names -d 'print names only, control characters escaped as tar -t does'
complete -c pcap-tarls -s 0 -l null -d 'print names only, as they are, each ended by a zero byte'
complete -c pcap-tarls -l index -d 'write the seek index ARCHIVE.tarx in the same pass'
complete -c pcap-tarls -l verify -d 'check the index of each archive against it, and list nothing'
complete -c pcap-tarls -s i -l ignore-zeros -d 'read on behind an end marker, in tarballs put together with cat'
complete -c pcap-tarls -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-tarls -s q -l quiet -d 'print errors only'
complete -c pcap-tarls -s v -l verbose -d 'say what is done'
complete -c pcap-tarls -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-tarls -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-tarls -l version -d 'print the version'
complete -c pcap-tarls -s h -l help -d 'show help'
complete -c pcap-tarcat -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-tarcat -l name -x -d 'take the member named NAME (may be given again)'
complete -c pcap-tarcat -l select -r -F -d 'take the members of the records in FILE, from pcap-tarls or pcap-map'
complete -c pcap-tarcat -l raw -d 'leave compressed members as they are'
complete -c pcap-tarcat -s C -l directory -x -a '(__fish_complete_directories)' -d 'extract into files below DIR'
complete -c pcap-tarcat -s z -l compress -x -a 'lz4 zstd gzip' -d 'compress with METHOD: lz4, zstd or gzip'
complete -c pcap-tarcat -l max-bytes -x -d 'fail when more than SIZE would be given out: tarballs can hold far more than they take'
complete -c pcap-tarcat -l list -d 'only print the records of what would be taken'
complete -c pcap-tarcat -s i -l ignore-zeros -d 'read on behind an end marker, in tarballs put together with cat'
complete -c pcap-tarcat -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-tarcat -s q -l quiet -d 'print errors only'
complete -c pcap-tarcat -s v -l verbose -d 'say what is done'
complete -c pcap-tarcat -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-tarcat -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-tarcat -l version -d 'print the version'
complete -c pcap-tarcat -s h -l help -d 'show help'
complete -c pcap-tarcat -n '__pcap_replay_archive -o --output --name --select -C --directory -z --compress --max-bytes --report --progress' -f -a '(__pcap_replay_members -o --output --name --select -C --directory -z --compress --max-bytes --report --progress)'
complete -c pcap-map -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-map -s j -l jobs -x -d 'read N files at the same time'
complete -c pcap-map -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-map -s i -l ignore-zeros -d 'read on behind an end marker, in tarballs put together with cat'
complete -c pcap-map -l chart -d 'draw when each capture runs instead of printing records'
complete -c pcap-map -l svg -r -F -d 'draw that as a picture into FILE'
complete -c pcap-map -l from-records -r -F -d 'draw what the records in FILE say (-: stdin) instead of reading captures'
complete -c pcap-map -l match -x -d 'of folders and tarballs, take only what REGEXP matches'
complete -c pcap-map -l suffix -x -d 'of folders and tarballs, take only names that end in TEXT'
complete -c pcap-map -s q -l quiet -d 'print errors only'
complete -c pcap-map -s v -l verbose -d 'say what is done'
complete -c pcap-map -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-map -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-map -l version -d 'print the version'
complete -c pcap-map -s h -l help -d 'show help'
complete -c pcap-merge -l select -r -F -d 'merge what the records of pcap-map or pcap-tarls in FILE name (-: stdin)'
complete -c pcap-merge -s i -l ignore-zeros -d 'read on behind an end marker, in tarballs put together with cat'
complete -c pcap-merge -l loop -x -d 'play all N times, one after another (0: for ever)'
complete -c pcap-merge -l shard -x -d 'take only flows of share I/N, I from 0'
complete -c pcap-merge -l dedup -d 'leave out a packet that has the same bytes as one shortly before'
complete -c pcap-merge -l dedup-window -x -d 'how long DURATION before'
complete -c pcap-merge -l reorder -x -d 'put packets of an input in order that come up to DURATION too late'
complete -c pcap-merge -l snaplen -x -d 'cut packets after N bytes'
complete -c pcap-merge -l memory -x -d 'hold up to SIZE of a stream in memory'
complete -c pcap-merge -l tmp -x -a '(__fish_complete_directories)' -d 'hold the rest in files in FOLDER'
complete -c pcap-merge -l follow -x -a '(__fish_complete_directories)' -d 'merge the files in FOLDER as they are written, until SIGINT'
complete -c pcap-merge -l idle -x -d 'end --follow when no file has grown for DURATION'
complete -c pcap-merge -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-merge -l match -x -d 'of folders and tarballs, take only what REGEXP matches'
complete -c pcap-merge -l suffix -x -d 'of folders and tarballs, take only names that end in TEXT'
complete -c pcap-merge -l from -x -d 'leave out packets before TIME'
complete -c pcap-merge -l to -x -d 'leave out packets at TIME and later'
complete -c pcap-merge -l filter -x -d 'take only packets that match EXPRESSION, as pcap-filter(7) has it'
complete -c pcap-merge -l filter-file -r -F -d 'the same, from FILE: an expression, or a program of tcpdump -ddd'
complete -c pcap-merge -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-merge -s z -l compress -x -a 'lz4 zstd gzip' -d 'compress with METHOD: lz4, zstd or gzip'
complete -c pcap-merge -l pcapng -d 'write pcapng, which may hold several link types'
complete -c pcap-merge -s q -l quiet -d 'print errors only'
complete -c pcap-merge -s v -l verbose -d 'say what is done'
complete -c pcap-merge -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-merge -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-merge -l version -d 'print the version'
complete -c pcap-merge -s h -l help -d 'show help'
complete -c pcap-pace -l speed -x -d 'let time pass X times as fast, such as 2, 0.5 or 1/3'
complete -c pcap-pace -l fit -x -d 'let the whole take DURATION; each round, with --loop'
complete -c pcap-pace -l span -x -d 'the whole is DURATION long, for --fit'
complete -c pcap-pace -l select -r -F -d 'the whole is as long as the records of pcap-map in FILE say, for --fit'
complete -c pcap-pace -l pps -x -d 'N packets a second, evenly, such as 5000 or 10k'
complete -c pcap-pace -l bps -x -d 'N bits a second of lengths on the wire, evenly, such as 10M'
complete -c pcap-pace -l max-gap -x -d 'shorten longer gaps to DURATION'
complete -c pcap-pace -l loop -x -d 'play the files N times (0: for ever)'
complete -c pcap-pace -l start-at -x -d 'the moment of --from, or else the first packet, leaves at TIME, and all are stamped for pcap-inject --at'
complete -c pcap-pace -l lead -x -d 'give packets out by DURATION earlier than they are stamped'
complete -c pcap-pace -l exact -d 'wait to the microsecond, for what sends a packet as soon as it comes'
complete -c pcap-pace -l asap -d 'stamp, and do not wait'
complete -c pcap-pace -l keep-timestamps -d 'do not stamp'
complete -c pcap-pace -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-pace -l from -x -d 'leave out packets before TIME'
complete -c pcap-pace -l to -x -d 'leave out packets at TIME and later'
complete -c pcap-pace -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-pace -s z -l compress -x -a 'lz4 zstd gzip' -d 'compress with METHOD: lz4, zstd or gzip'
complete -c pcap-pace -l pcapng -d 'write pcapng, which may hold several link types'
complete -c pcap-pace -s q -l quiet -d 'print errors only'
complete -c pcap-pace -s v -l verbose -d 'say what is done'
complete -c pcap-pace -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-pace -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-pace -l version -d 'print the version'
complete -c pcap-pace -s h -l help -d 'show help'
complete -c pcap-inject -s i -l interface -x -a '(__pcap_replay_interfaces)' -d 'send on INTERFACE'
complete -c pcap-inject -s w -l write -r -F -d 'write to FILE instead (-: stdout), stamped with the moment of sending'
complete -c pcap-inject -l delay -x -d 'buffer DURATION of the stream'
complete -c pcap-inject -l at -d 'timestamps are moments of the wall clock, as pcap-pace --start-at makes them'
complete -c pcap-inject -l asap -d 'send as fast as it goes'
complete -c pcap-inject -l oversize -x -a 'error skip truncate segment' -d 'what to do with oversize frames: error (leave out, exit 3), skip, truncate, or segment (as a card does with TCP)'
complete -c pcap-inject -l short -x -a 'pad asis skip' -d 'what to do with short frames: pad (with zeros), asis or skip'
complete -c pcap-inject -l link -x -a 'refuse ethernet' -d 'what to do with frames of RAW, NULL, LOOP, LINUX_SLL or LINUX_SLL2: refuse, or make ethernet ones of them'
complete -c pcap-inject -l tx -x -a 'auto packet xdp' -d 'send by packet or xdp sockets; auto takes xdp with --asap, if it works'
complete -c pcap-inject -l workers -x -d 'send with N threads, each flow by one: order is kept within a flow only'
complete -c pcap-inject -l realtime -d 'have the scheduler prefer the sending thread to all others'
complete -c pcap-inject -l verify -d 'also tell lateness by the kernel\'s transmit timestamps'
complete -c pcap-inject -l limit -x -d 'end after N packets'
complete -c pcap-inject -l duration -x -d 'end DURATION after the first packet has left'
complete -c pcap-inject -l fail-late -x -d 'exit with 4 when more than 1 % of the packets are over DURATION late'
complete -c pcap-inject -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-inject -l filter -x -d 'take only packets that match EXPRESSION, as pcap-filter(7) has it'
complete -c pcap-inject -l filter-file -r -F -d 'the same, from FILE: an expression, or a program of tcpdump -ddd'
complete -c pcap-inject -s q -l quiet -d 'print errors only'
complete -c pcap-inject -s v -l verbose -d 'say what is done'
complete -c pcap-inject -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open descriptor\'s number'
complete -c pcap-inject -l progress -x -a 'auto always never' -d 'draw progress on stderr: auto, always or never'
complete -c pcap-inject -l version -d 'print the version'
complete -c pcap-inject -s h -l help -d 'show help'
# made until here
