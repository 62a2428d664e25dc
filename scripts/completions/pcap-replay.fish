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
complete -c pcap-tarls -l match -x -d 'list only members whose names match REGEXP (may be repeated)'
complete -c pcap-tarls -l names -d 'print only names, with control characters escaped as by tar -t'
complete -c pcap-tarls -s 0 -l null -d 'print only names, not escaped, each followed by a zero byte'
complete -c pcap-tarls -l index -d 'also write the seek index ARCHIVE.tarx'
complete -c pcap-tarls -l verify -d 'compare the index of each archive with the archive, and list nothing'
complete -c pcap-tarls -s i -l ignore-zeros -d 'read past end-of-archive markers, as in tarballs joined with cat'
complete -c pcap-tarls -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-tarls -s q -l quiet -d 'print only errors'
complete -c pcap-tarls -s v -l verbose -d 'print more messages'
complete -c pcap-tarls -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-tarls -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-tarls -l version -d 'print the version'
complete -c pcap-tarls -s h -l help -d 'print this help'
complete -c pcap-tarcat -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-tarcat -l name -x -d 'write the member named NAME (may be repeated)'
complete -c pcap-tarcat -l select -r -F -d 'write the members of the records of pcap-tarls or pcap-map in FILE'
complete -c pcap-tarcat -l raw -d 'do not decompress members'
complete -c pcap-tarcat -s C -l directory -x -a '(__fish_complete_directories)' -d 'extract into files below DIR'
complete -c pcap-tarcat -s z -l compress -x -a 'lz4 zstd gzip none' -d 'compress the output with METHOD: lz4, zstd, gzip or none'
complete -c pcap-tarcat -l max-bytes -x -d 'fail if more than SIZE would be written, since a small tarball can expand to a lot of data'
complete -c pcap-tarcat -l list -d 'only print the records of the members that would be written'
complete -c pcap-tarcat -s i -l ignore-zeros -d 'read past end-of-archive markers, as in tarballs joined with cat'
complete -c pcap-tarcat -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-tarcat -s q -l quiet -d 'print only errors'
complete -c pcap-tarcat -s v -l verbose -d 'print more messages'
complete -c pcap-tarcat -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-tarcat -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-tarcat -l version -d 'print the version'
complete -c pcap-tarcat -s h -l help -d 'print this help'
complete -c pcap-tarcat -n '__pcap_replay_archive -o --output --name --select -C --directory -z --compress --max-bytes --report --progress' -f -a '(__pcap_replay_members -o --output --name --select -C --directory -z --compress --max-bytes --report --progress)'
complete -c pcap-map -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-map -s j -l jobs -x -d 'read N files at the same time'
complete -c pcap-map -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-map -s i -l ignore-zeros -d 'read past end-of-archive markers, as in tarballs joined with cat'
complete -c pcap-map -l json -d 'print records also on a terminal, instead of a table'
complete -c pcap-map -l chart -d 'draw when each capture runs, instead of printing records'
complete -c pcap-map -l svg -r -F -d 'also draw when each capture runs as a picture into FILE'
complete -c pcap-map -l against -x -d 'compare a capture with what was to be sent: the capture REFERENCE (-: stdin)'
complete -c pcap-map -l speed -x -d 'with --against: the replay was to be N times as fast as the reference'
complete -c pcap-map -l memory -x -d 'with --against: use up to SIZE of memory'
complete -c pcap-map -l tmp -x -a '(__fish_complete_directories)' -d 'with --against: keep the rest in a temporary file in FOLDER'
complete -c pcap-map -l from-records -r -F -d 'draw the records in FILE (- for stdin) instead of reading captures'
complete -c pcap-map -l match -x -d 'in folders and tarballs, read only names that match REGEXP'
complete -c pcap-map -l suffix -x -d 'in folders and tarballs, read only names that end in TEXT'
complete -c pcap-map -s q -l quiet -d 'print only errors'
complete -c pcap-map -s v -l verbose -d 'print more messages'
complete -c pcap-map -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-map -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-map -l version -d 'print the version'
complete -c pcap-map -s h -l help -d 'print this help'
complete -c pcap-merge -l select -r -F -d 'merge the captures of the records of pcap-map or pcap-tarls in FILE (- for stdin)'
complete -c pcap-merge -s i -l ignore-zeros -d 'read past end-of-archive markers, as in tarballs joined with cat'
complete -c pcap-merge -l align -d 'begin all captures at the same moment, that of the earliest first packet'
complete -c pcap-merge -l loop -x -d 'write all inputs N times, one round after another (0: forever)'
complete -c pcap-merge -l shard -x -d 'keep only the flows of share I/N, where I counts from 0'
complete -c pcap-merge -l dedup -d 'leave out packets that have the same bytes as a recent one, or with --dedup=ip the same IP packet'
complete -c pcap-merge -l dedup-window -x -d 'compare packets with those of the last DURATION'
complete -c pcap-merge -l reorder -x -d 'sort packets of an input that are up to DURATION out of order'
complete -c pcap-merge -l snaplen -x -d 'cut packets to N bytes'
complete -c pcap-merge -l memory -x -d 'keep up to SIZE of streams in memory'
complete -c pcap-merge -l tmp -x -a '(__fish_complete_directories)' -d 'keep the rest of streams in temporary files in FOLDER'
complete -c pcap-merge -l follow -x -a '(__fish_complete_directories)' -d 'merge the files in FOLDER as they are written, until SIGINT'
complete -c pcap-merge -l idle -x -d 'end --follow when no file has grown for DURATION'
complete -c pcap-merge -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-merge -l match -x -d 'in folders and tarballs, read only names that match REGEXP'
complete -c pcap-merge -l suffix -x -d 'in folders and tarballs, read only names that end in TEXT'
complete -c pcap-merge -l from -x -d 'leave out packets before TIME'
complete -c pcap-merge -l to -x -d 'leave out packets at or after TIME'
complete -c pcap-merge -l decap -x -d 'take packets out of the tunnels in LIST: vlan, mpls, pppoe, gre, teb, erspan, vxlan, geneve, ipip, gtpu or all'
complete -c pcap-merge -l decap-depth -x -d 'take a packet out of up to N tunnels, one in another'
complete -c pcap-merge -l filter -x -d 'keep only packets that match EXPRESSION, see pcap-filter(7)'
complete -c pcap-merge -l filter-file -r -F -d 'read the filter from FILE: an expression, or a program of tcpdump -ddd'
complete -c pcap-merge -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-merge -s z -l compress -x -a 'lz4 zstd gzip none' -d 'compress the output with METHOD: lz4, zstd, gzip or none'
complete -c pcap-merge -l pcapng -d 'write pcapng, which can hold several link types'
complete -c pcap-merge -s q -l quiet -d 'print only errors'
complete -c pcap-merge -s v -l verbose -d 'print more messages'
complete -c pcap-merge -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-merge -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-merge -l version -d 'print the version'
complete -c pcap-merge -s h -l help -d 'print this help'
complete -c pcap-pace -l speed -x -d 'play X times as fast, such as 2, 0.5 or 1/3'
complete -c pcap-pace -l fit -x -d 'play the whole input in DURATION, or each round of --loop'
complete -c pcap-pace -l span -x -d 'for --fit: the input spans DURATION'
complete -c pcap-pace -l select -r -F -d 'for --fit: the input spans the time of the pcap-map records in FILE'
complete -c pcap-pace -l pps -x -d 'play N packets per second at even intervals, such as 5000 or 10k'
complete -c pcap-pace -l bps -x -d 'play N bits per second evenly, by lengths on the wire, such as 10M'
complete -c pcap-pace -l max-gap -x -d 'shorten longer gaps to DURATION'
complete -c pcap-pace -l loop -x -d 'play the files N times (0: forever)'
complete -c pcap-pace -l start-at -x -d 'set timestamps for pcap-inject --at: --from, or else the first packet, becomes TIME'
complete -c pcap-pace -l lead -x -d 'write packets DURATION earlier than their timestamps'
complete -c pcap-pace -l exact -d 'wait to the microsecond, for a reader that sends packets as they arrive'
complete -c pcap-pace -l asap -d 'set timestamps, but do not wait'
complete -c pcap-pace -l keep-timestamps -d 'do not change timestamps'
complete -c pcap-pace -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-pace -l from -x -d 'leave out packets before TIME'
complete -c pcap-pace -l to -x -d 'leave out packets at or after TIME'
complete -c pcap-pace -s o -l output -r -F -d 'write to FILE instead of stdout'
complete -c pcap-pace -s z -l compress -x -a 'lz4 zstd gzip none' -d 'compress the output with METHOD: lz4, zstd, gzip or none'
complete -c pcap-pace -l pcapng -d 'write pcapng, which can hold several link types'
complete -c pcap-pace -s q -l quiet -d 'print only errors'
complete -c pcap-pace -s v -l verbose -d 'print more messages'
complete -c pcap-pace -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-pace -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-pace -l version -d 'print the version'
complete -c pcap-pace -s h -l help -d 'print this help'
complete -c pcap-inject -s i -l interface -x -a '(__pcap_replay_interfaces)' -d 'send on INTERFACE (given twice with --split)'
complete -c pcap-inject -l split -x -d 'send on two interfaces: what matches EXPRESSION on the first, the rest on the second; or clients (what clients sent), or direction (inbound packets of a pcapng)'
complete -c pcap-inject -s w -l write -r -F -d 'write frames to FILE instead (- for stdout), with their times of sending'
complete -c pcap-inject -l to -x -d 'send frames in UDP datagrams to URL: vxlan://HOST[:PORT]?vni=N or geneve://HOST[:PORT]?vni=N'
complete -c pcap-inject -l delay -x -d 'buffer packets for DURATION before sending them'
complete -c pcap-inject -l max-gap -x -d 'shorten longer gaps to DURATION'
complete -c pcap-inject -l at -d 'send packets at their timestamps by the wall clock, as pcap-pace --start-at sets them'
complete -c pcap-inject -l asap -d 'send as fast as possible'
complete -c pcap-inject -l oversize -x -a 'error skip truncate segment' -d 'what to do with frames longer than the MTU allows: error (leave out, exit 3), skip, truncate, or segment (cut TCP as TSO does)'
complete -c pcap-inject -l short -x -a 'pad asis skip' -d 'what to do with frames that the snaplen cut: pad (with zeros), asis or skip'
complete -c pcap-inject -l link -x -a 'refuse ethernet' -d 'what to do with frames of RAW, NULL, LOOP, LINUX_SLL or LINUX_SLL2: refuse, or ethernet (give them an Ethernet header)'
complete -c pcap-inject -l tx -x -a 'auto packet bypass xdp' -d 'socket type: packet, bypass or xdp; auto uses packet if a program captures on the interface'
complete -c pcap-inject -l workers -x -d 'send with N threads; only packets of the same flow keep their order'
complete -c pcap-inject -l realtime -d 'give the sending thread real-time priority'
complete -c pcap-inject -l spin -d 'poll the clock instead of sleeping; this takes a whole core'
complete -c pcap-inject -l verify -d 'also measure lateness by the kernel\'s transmit timestamps'
complete -c pcap-inject -l limit -x -d 'end after N packets'
complete -c pcap-inject -l duration -x -d 'end DURATION after the first packet was sent'
complete -c pcap-inject -l fail-late -x -d 'exit with code 4 if more than 1 % of the packets are late by more than DURATION'
complete -c pcap-inject -l strict -d 'stop at the first input that is damaged or cannot be read'
complete -c pcap-inject -l decap -x -d 'take packets out of the tunnels in LIST: vlan, mpls, pppoe, gre, teb, erspan, vxlan, geneve, ipip, gtpu or all'
complete -c pcap-inject -l decap-depth -x -d 'take a packet out of up to N tunnels, one in another'
complete -c pcap-inject -l filter -x -d 'keep only packets that match EXPRESSION, see pcap-filter(7)'
complete -c pcap-inject -l filter-file -r -F -d 'read the filter from FILE: an expression, or a program of tcpdump -ddd'
complete -c pcap-inject -s q -l quiet -d 'print only errors'
complete -c pcap-inject -s v -l verbose -d 'print more messages'
complete -c pcap-inject -l report -r -F -d 'write events and a summary as NDJSON to FILE, or to an open file descriptor (a number)'
complete -c pcap-inject -l progress -x -a 'auto always never' -d 'show progress on stderr: auto, always or never'
complete -c pcap-inject -l version -d 'print the version'
complete -c pcap-inject -s h -l help -d 'print this help'
# made until here
