// SPDX-License-Identifier: BSD-3-Clause
/* Enters other network namespaces. */
#define _GNU_SOURCE

#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_SIZE (EBPFTLS_NETNS_SIZE + 32)

/*
 * Opens a namespace, and nothing else: the name may come from somebody with
 * fewer rights, and to open a device or a FIFO has effects.
 */
static int
open_namespace(const char *path)
{
	char link[32];
	struct statfs fs;
	int handle = open(path, O_PATH | O_CLOEXEC), fd = -1;

	if (handle < 0)
		return -1;
	if (fstatfs(handle, &fs) == 0 && fs.f_type == NSFS_MAGIC) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
		fd = open(link, O_RDONLY | O_CLOEXEC);
	} else {
		errno = EINVAL;
	}
	close(handle);
	return fd;
}

static int
find_namespace(const char *name)
{
	char path[PATH_SIZE];
	int fd;

	if (strchr(name, '/') != NULL)
		return open_namespace(name);
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open_namespace(path);
	if (fd >= 0 || errno != ENOENT ||
	    name[strspn(name, "0123456789")] != '\0')
		return fd;
	snprintf(path, sizeof(path), "/proc/%s/ns/net", name);
	return open_namespace(path);
}

/*
 * /sys/class/net is that of the process that mounted it. What is unmounted
 * elsewhere is to be unmounted here, too, or its disk stays in use.
 */
static int
mount_sys(void)
{
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
		return -1;
	return mount("sysfs", "/sys", "sysfs", MS_RDONLY, NULL);
}

/* Whether this process is there already. */
static bool
is_here(int fd)
{
	struct stat there, here;

	return fstat(fd, &there) == 0 &&
	       stat("/proc/self/ns/net", &here) == 0 &&
	       there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

/* One that is new, as to go where one is already is no proof. */
static int
enter_new(void)
{
	return unshare(CLONE_NEWNET) == 0 && mount_sys() == 0 ? 0 : errno;
}

int
netns_try(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(enter_new());
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -EAGAIN;
	return -WEXITSTATUS(status);
}

/* Ends with what it was given. */
static int
enter(int fd, struct failure *failure)
{
	int error = 0;

	if (!is_here(fd) && (setns(fd, CLONE_NEWNET) != 0 || mount_sys() != 0))
		error = errno;
	close(fd);
	if (error == 0)
		return 0;
	return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
		    "cannot enter the network namespace: %s", strerror(error));
}

/*
 * What accept() makes of a Unix socket belongs to the namespace of the end that
 * connected: the peer need not say where it is, and cannot.
 */
int
netns_enter_peer(int sock, struct failure *failure)
{
	int fd = ioctl(sock, SIOCGSKNS);

	if (fd >= 0)
		return enter(fd, failure);
	return fail_refused(failure, errno,
			    "cannot tell in which network namespace to "
			    "capture");
}

int
netns_enter(const char *name, struct failure *failure)
{
	int fd;

	if (name[0] == '\0')
		return 0;
	fd = find_namespace(name);
	if (fd < 0 && errno == ENOENT)
		return fail(failure, EBPFTLS_REASON_NO_SUCH_DEVICE,
			    "no network namespace '%s': neither in /run/netns "
			    "nor an absolute path nor a pid",
			    name);
	if (fd < 0 && errno == EINVAL)
		return fail(failure, EBPFTLS_REASON_NO_SUCH_DEVICE,
			    "'%s' is not a network namespace", name);
	if (fd < 0)
		return fail(failure, EBPFTLS_REASON_NO_PERMISSION,
			    "cannot open the network namespace '%s': %s", name,
			    strerror(errno));
	return enter(fd, failure);
}
