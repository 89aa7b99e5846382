# Sets up the room that a project's command runs in, and runs it there. It is run by `unshare` as the first process of its
# own namespaces: when it ends, everything that was started in it ends.
#   enter.sh SCRATCH COPY PLACE USER GROUP HOME [LOWER OVER UPPER WORK]... -- COMMAND...
# 97 says that the room could not be set up.
scratch=$1 copy=$2 place=$3 user=$4 group=$5 home=$6
shift 6
ip link set lo up || exit 97
mount -t proc proc /proc || exit 97

# Everything may be read, and only temporary folders written.
mount --rbind /tmp /tmp && mount --bind "$scratch" "$scratch" || exit 97
for folder in "$home" /; do
  if [ -d "$folder" ]; then
    [ "$folder" = / ] || mount --rbind "$folder" "$folder" || exit 97
    mount -o remount,bind,ro "$folder" || mount -o remount,bind,ro,nosuid,nodev "$folder" || true
  fi
done 2>/dev/null

# What the user's own programs keep there is nobody's business: keys, and sockets that obey whoever reaches them.
for kept in "$home/.ssh" "$home/.aws" "$home/.azure" "$home/.gnupg" "$home/.kube" "$home/.docker" "$home/.config" \
  "$home/.password-store" "$home/.mozilla" /run/user /run/secrets; do
  [ ! -d "$kept" ] || mount -t tmpfs -o ro,size=4k none "$kept" 2>/dev/null || exit 97
done
for kept in "$home/.netrc" "$home/.npmrc" "$home/.pypirc" "$home/.git-credentials" "$home/.cargo/credentials.toml" \
  "$home/.cargo/credentials" "$home/.bash_history" "$home/.zsh_history" /run/docker.sock /run/podman/podman.sock; do
  [ ! -e "$kept" ] || mount --bind /dev/null "$kept" 2>/dev/null || exit 97
done

# Dependencies are seen through a layer that takes what is written.
while [ "$1" != -- ]; do
  mount -t overlay -o "lowerdir=$1,upperdir=$3,workdir=$4,userxattr" overlay "$2" || exit 97
  shift 4
done
shift

# The copy stands where the folder itself is: paths that programs have kept are right, and the folder is out of reach.
[ "$copy" = "$place" ] || mount --rbind "$copy" "$place" || exit 97
cd "$place" || exit 97

# Without the rights over the room itself. A child, so that this process stays the first one.
unshare --user --map-user="$user" --map-group="$group" -- "$@"
exit $?
