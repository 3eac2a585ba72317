# Sourced by the scripts here: boots a pinned Debian kernel under qemu (software emulation) with busybox and Python, all
# of it unpacked into a temporary folder, and runs one Python program in it. Needs apt-get (Debian 12's archive), dpkg-deb,
# cpio, xz; nothing is installed.
#
#   guest KERNEL "MODULE ..." PROGRAM.py      the program's output goes to stdout
#
# GUEST_PACKAGES: more packages for it; GUEST_MEMORY: its memory in MiB.

set -euo pipefail
TEMP=$(mktemp -d)
trap 'rm -rf "$TEMP"' EXIT

say() { printf '%s\n' "$*"; }

# fetch INTO PACKAGE[=VERSION] ...: downloads the packages and all that they depend on, and unpacks them.
fetch() {
    local into=$1 deb debs
    shift
    debs=$(mktemp -d -p "$TEMP")
    mkdir -p "$into" "$debs/partial"
    : >"$TEMP/status"
    apt-get -qq -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Dir::State::status="$TEMP/status" \
        -o Dir::Cache::archives="$debs" --no-install-recommends --download-only --yes install "$@" >/dev/null || {
        say "cannot download $*" >&2
        return 1
    }
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$into"; done
    rm -r "$debs"
}

# on_ss VERSION PROGRAM.py: runs a program on this machine's own kernel, with the path of that iproute2's ss as its argument.
on_ss() {
    local version=$1 program=$2 ss=$TEMP/ss triple
    triple=$(uname -m)-linux-gnu
    fetch "$ss" "iproute2=$version"
    say "iproute2 $version"
    LD_LIBRARY_PATH=$ss/usr/lib/$triple:$ss/lib/$triple PYTHONDONTWRITEBYTECODE=1 \
        PYTHONPATH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) \
        python3 "$program" "$(find "$ss" -path '*bin/ss' -type f | head -n 1)"
}

emulator() {
    if command -v qemu-system-x86_64 >/dev/null; then
        QEMU=(qemu-system-x86_64)
        return
    fi
    fetch "$TEMP/qemu" qemu-system-x86 ipxe-qemu
    local lib=$TEMP/qemu/usr/lib/x86_64-linux-gnu
    QEMU=(env "LD_LIBRARY_PATH=$lib:$lib/pulseaudio:$TEMP/qemu/lib/x86_64-linux-gnu"
        "$TEMP/qemu/usr/bin/qemu-system-x86_64" -L "$TEMP/qemu/usr/share/qemu" -L "$TEMP/qemu/usr/share/seabios")
}

guest() {
    local kernel=$1 modules=$2 program=$3 root=$TEMP/root module file
    mkdir -p "$root"/{proc,sys,dev,tmp,run}
    # The kernel alone: what it depends on makes initial RAM disks.
    mkdir -p "$TEMP/kernel"
    (cd "$TEMP/kernel" && apt-get -qq -o APT::Sandbox::User=root download "$kernel" && dpkg-deb -x ./*.deb .)
    # shellcheck disable=SC2086
    fetch "$root" busybox-static python3.11-minimal ${GUEST_PACKAGES:-}
    for module in $modules; do
        file=$(find "$TEMP/kernel" -name "$module.ko*" | head -n 1)
        case $file in
        *.xz) xz -dc "$file" >"$root/$module.ko" ;;
        *) cp "$file" "$root/$module.ko" ;;
        esac
    done
    cp "$program" "$root/program.py"
    cp "$(dirname "${BASH_SOURCE[0]}")/sockets.py" "$root/"
    cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev 2>/dev/null
for m in $modules; do /bin/busybox insmod /\$m.ko; done
/bin/busybox ip link set lo up
echo "kernel \$(/bin/busybox uname -r)" >/dev/ttyS1
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3.11 /program.py >/dev/ttyS1 2>&1
echo "exit \$?" >/dev/ttyS1
/bin/busybox sync
/bin/busybox reboot -f
END
    chmod +x "$root/init"
    fetch "$TEMP/tools" cpio
    (cd "$root" && find . | "$TEMP/tools/bin/cpio" --quiet -o -H newc) >"$TEMP/initrd"
    emulator
    timeout 300 "${QEMU[@]}" -M q35 -accel tcg,thread=single -cpu max -smp 2 -m "${GUEST_MEMORY:-768}" -nodefaults -display none -no-reboot \
        -kernel "$(find "$TEMP/kernel" -name 'vmlinuz*' | head -n 1)" -initrd "$TEMP/initrd" \
        -append "console=ttyS0 panic=-1 quiet" -serial "file:$TEMP/console" -serial "file:$TEMP/output"
    tr -d '\r' <"$TEMP/output"
    grep -qx 'exit 0' <(tr -d '\r' <"$TEMP/output") || {
        say "the program in the guest failed" >&2
        tail -n 5 "$TEMP/console" >&2
        return 1
    }
}
