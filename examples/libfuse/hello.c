/*
 * Serves one file, "hello", with libfuse's high-level interface:
 *
 *	hello-libfuse -f [-o OPTIONS] MOUNTPOINT
 *
 * Build it with
 *
 *	cc -o hello-libfuse hello.c $(pkg-config --cflags --libs fuse3)
 *
 * It ends when somebody unmounts it: fusermount3 -u MOUNTPOINT.
 */
#define FUSE_USE_VERSION 31

#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static const char content[] = "hello, world\n";
static const size_t length = sizeof(content) - 1;

static int is_hello(const char *path)
{
	return strcmp(path, "/hello") == 0;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *file)
{
	(void)file;
	memset(st, 0, sizeof(*st));
	st->st_uid = getuid();
	st->st_gid = getgid();
	if (strcmp(path, "/") == 0) {
		st->st_mode = S_IFDIR | 0555;
		st->st_nlink = 2;
		return 0;
	}
	if (!is_hello(path))
		return -ENOENT;
	st->st_mode = S_IFREG | 0444;
	st->st_nlink = 1;
	st->st_size = (off_t)length;
	return 0;
}

static int list(const char *path, void *buffer, fuse_fill_dir_t add, off_t from,
		struct fuse_file_info *file, enum fuse_readdir_flags flags)
{
	static const char *const names[] = { ".", "..", "hello" };

	(void)from;
	(void)file;
	(void)flags;
	if (strcmp(path, "/") != 0)
		return -ENOTDIR;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (add(buffer, names[i], NULL, 0, 0) != 0)
			return -ENOMEM;
	return 0;
}

static int open_file(const char *path, struct fuse_file_info *file)
{
	if (!is_hello(path))
		return -ENOENT;
	return (file->flags & O_ACCMODE) == O_RDONLY ? 0 : -EROFS;
}

static int read_file(const char *path, char *buffer, size_t size, off_t offset,
		     struct fuse_file_info *file)
{
	(void)path; /* there is but one */
	(void)file;
	if (offset < 0 || (size_t)offset >= length)
		return 0;
	if (size > length - (size_t)offset)
		size = length - (size_t)offset;
	memcpy(buffer, content + offset, size);
	return (int)size;
}

static const struct fuse_operations hello = {
	.getattr = get_attributes,
	.readdir = list,
	.open = open_file,
	.read = read_file,
};

/* fuse_main takes the options, mounts (through fusermount3, for whoever is not
 * root) and serves until the file system is unmounted. */
int main(int argc, char **argv)
{
	return fuse_main(argc, argv, &hello, NULL);
}
