# In a guest: runs skmem on terminals, on real sockets, and keeps what it shows, with the times.
set -e
columns=100

# terminal NAME ROWS COMMAND: what is typed comes from stdin.
terminal() {
    script --quiet --flush --log-out "$OUT/$1.out" --log-timing "$OUT/$1.times" \
        --command "stty rows $2 cols $columns; exec $3"
}
# Waits until COMMAND succeeds; where it never does, all of this ends.
until_true() {
    n=0
    until "$@"; do
        n=$((n + 1))
        [ $n -lt 600 ] || { echo "never true: $*" >&2; kill $$; exit 1; }
        sleep 0.1
    done
}
listens() { /usr/bin/ss -Hltn "sport = :$1" | grep -q LISTEN; }
holds() { [ -n "$(/usr/bin/ss -Htn state established "dport = :$1")" ]; }
shown() { grep -q "$2" "$OUT/$1.out" 2>/dev/null; }
# slow_server PORT COMMAND: a server whose one connection is read by COMMAND.
slow_server() { socat TCP6-LISTEN:$1,reuseaddr,rcvbuf=16384 "SYSTEM:$2,nofork" & until_true listens $1; }

export TERM=xterm-256color SHELL=/bin/sh PATH=/usr/bin:$PATH
# The same in each recording, so that two of them can be compared.
date -u -s '2026-01-01 03:00:00' > /dev/null

terminal demo 40 'skmem demo' < /dev/null > /dev/null

slow_server 5432 'sleep 600'
# Ctrl-C comes when the sender has been held up for a while.
{
    until_true shown explain 'watching'
    socat TCP6:[::1]:5432,sndbuf=4096 EXEC:'dd if=/dev/zero bs=1024',nofork > /dev/null 2>&1 &
    until_true holds 5432
    sleep 3
    printf '\003'
} | terminal explain 40 'skmem explain --dport 5432' > /dev/null

slow_server 8080 "while sleep 0.2; do dd bs=2048 count=1 of=/dev/null 2>/dev/null; done"
socat TCP6:[::1]:8080 EXEC:'dd if=/dev/zero bs=8192',nofork &
until_true holds 5432
until_true holds 8080
terminal snapshot 32 'skmem snapshot --explain' < /dev/null > /dev/null

terminal pair 24 'skmem explain --pair --dport 8080 -d 5s' < /dev/null > /dev/null

# Looks, opens the first socket, looks and ends.
{ until_true shown top '5432'; sleep 5; printf '\r'; sleep 5; printf q; sleep 1; } |
    terminal top 32 'skmem top' > /dev/null

# No terminal: the picture that skmem draws itself.
skmem demo slow-reader --record "$OUT/slow-reader.skm" > /dev/null
skmem plot "$OUT/slow-reader.skm" --rx -o "$OUT/plot-rx.svg" 2> /dev/null
