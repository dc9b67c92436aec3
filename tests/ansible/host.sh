# A host of scripts/test-ansible, in namespaces of its own: $1 its address, $2 its kind, $3 the folder
# with the keys, $4 the program, $5 what listens on 9090. Standard input says when its network is there.
set -eu
address=$1 kind=$2 folder=$3 program=$4
read -r _
ip link set lo up
ip link set "h$(echo "$address" | tr . _ | tail -c 8)" name eth0
ip address add "$address/16" dev eth0
ip link set eth0 up
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
mount -t tmpfs -o mode=700 tmpfs /root
config=/run/sshd_config
cp "$folder/key.pub" /run/authorized
chmod 644 /run/authorized
{
    echo "ListenAddress $address:22"
    echo "HostKey $folder/key"
    echo "AuthorizedKeysFile /run/authorized"
    printf '%s\n' 'PidFile none' 'UsePAM no' 'StrictModes no' 'PermitRootLogin yes' 'Subsystem sftp internal-sftp'
} >$config
case $kind in
    full | noexec)
        mkdir /root/.ansible
        options=size=64k
        [ "$kind" = full ] || options=noexec
        mount -t tmpfs -o "$options" tmpfs /root/.ansible
        ;;
    user)
        cp /etc/passwd /run/passwd
        echo 'ada:x:4321:4321::/run/ada:/bin/sh' >>/run/passwd
        mount --bind /run/passwd /etc/passwd
        mkdir -m 700 /run/ada
        chown 4321:4321 /run/ada
        ;;
    machine)
        printf '#!/bin/sh\n[ "$1" = -m ] && echo riscv64 || echo Linux\n' >/run/uname
        chmod 755 /run/uname
        mount --bind /run/uname "$(command -v uname)"
        ;;
    liar)
        # It can lie about itself, and must not get anything else into Ansible.
        mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
        {
            printf '#!/bin/sh\n[ "$1" = --version ] && exec echo "%s"\n' "$("$program" --version)"
            echo "printf '\\033]0;x\\007{\"changed\": true}\\n'"
            echo "echo '{\"changed\": false, \"failed\": false, \"msg\": \"a lie\", \"_ansible_no_log\": true,"\
                "\"ansible_facts\": {\"ansible_host\": \"10.99.0.1\"}, \"add_host\": {\"host_name\": \"evil\"}}'"
        } >/usr/local/bin/portcheck
        chmod 755 /usr/local/bin/portcheck
        ;;
    bare)
        # BusyBox, what the program is linked with, and nothing else.
        mount -t tmpfs -o mode=755 tmpfs /mnt
        mkdir -p /mnt/bin /mnt/dev /mnt/proc /mnt/etc /mnt/root /mnt/tmp
        cp "$(command -v busybox)" /mnt/bin/busybox
        chroot /mnt /bin/busybox --install -s /bin
        for library in $(ldd "$program" | grep -o '/[^ ]*'); do
            mkdir -p "/mnt${library%/*}"
            cp "$library" "/mnt$library"
        done
        mount --bind /dev /mnt/dev
        mount -t proc proc /mnt/proc
        sed -n 's#^root:.*#root:x:0:0:root:/root:/bin/sh#p' /etc/passwd >/mnt/etc/passwd
        cp /mnt/etc/passwd /run/passwd
        grep '^sshd:' /etc/passwd >>/run/passwd || true
        mount --bind /run/passwd /etc/passwd
        echo 'ChrootDirectory /mnt' >>$config
        ;;
esac
[ "$kind" != user ] || busybox httpd -p 9090 -h /
cd /
exec /usr/sbin/sshd -D -e -f $config
