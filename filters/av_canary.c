/* av_canary.c - a signature that nobody else has, to see that the antivirus still sees.
 *
 * libclamav that cannot write its temporary files calls everything clean. The canary is 32 random
 * octets made at load; a little mail with them in a base64 attachment is found only when the
 * signatures are there, mails are taken apart and the temporary directory works. */
#include "filters/av_int.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/base/buf.h"
#include "proxy/base/mem.h"

static void
put_hex(struct buf *out, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf_printf(out, "%02x", bytes[i]);
}

/* RFC 4648 section 4, for lengths that need no padding. */
static void
put_base64(struct buf *out, const unsigned char *bytes, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i + 2 < len; i += 3) {
		unsigned v = (unsigned)bytes[i] << 16 | (unsigned)bytes[i + 1] << 8 | bytes[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			buf_putc(out, digits[v >> shift & 63]);
	}
}

static int
write_signature(const struct av *av, int fd, const char *path, struct err *err)
{
	struct buf line;
	struct slice text;
	int rc = 0;

	buf_init(&line, 256);
	buf_puts(&line, AV_CANARY_NAME ":0:*:");	/* any type of file, anywhere */
	put_hex(&line, av->canary, sizeof(av->canary));
	buf_putc(&line, '\n');
	text = buf_slice(&line);
	if (write(fd, text.at, text.len) != (ssize_t)text.len)
		rc = err_sys(err, "write %s", path);
	buf_free(&line);
	return rc;
}

int
av_canary_load(struct av *av, struct err *err)
{
	struct buf path;
	unsigned int loaded = 0;
	cl_error_t code;
	char *name;
	int fd, rc = -1;

	if (getrandom(av->canary, sizeof(av->canary), 0) != sizeof(av->canary))
		return err_sys(err, "getrandom");
	buf_init(&path, 4096);
	buf_printf(&path, "%s/canary-XXXXXX.ndb", av->tmp_dir);	/* libclamav tells the format by the suffix */
	name = mem_slice(buf_slice(&path));
	buf_free(&path);
	if ((fd = mkostemps(name, strlen(".ndb"), O_CLOEXEC)) == -1) {
		err_sys(err, "make a file in %s", av->tmp_dir);
		goto out;
	}
	rc = write_signature(av, fd, name, err);
	close(fd);
	if (rc == 0) {
		code = cl_load(name, av->engine, &loaded, CL_DB_STDOPT);
		if (code != CL_SUCCESS || loaded != 1)
			rc = err_set(err, "cannot load the canary signature: %s", cl_strerror(code));
	}
	unlink(name);
out:
	free(name);
	return rc;
}

static void
put_mail(struct buf *mail, const struct av *av)
{
	unsigned char attachment[AV_CANARY_BYTES + 1];

	memcpy(attachment, av->canary, sizeof(av->canary));
	attachment[AV_CANARY_BYTES] = '\n';
	buf_puts(mail,
	    "From: canary@localhost\r\n"
	    "To: antivirus@localhost\r\n"
	    "Subject: canary\r\n"
	    "Date: Thu, 1 Jan 1970 00:00:00 +0000\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/mixed; boundary=\"cage\"\r\n"
	    "\r\n"
	    "--cage\r\n"
	    "Content-Type: text/plain\r\n"
	    "\r\n"
	    "If you do not find what is in the cage, do not trust yourself.\r\n"
	    "--cage\r\n"
	    "Content-Type: application/octet-stream; name=\"canary.bin\"\r\n"
	    "Content-Disposition: attachment; filename=\"canary.bin\"\r\n"
	    "Content-Transfer-Encoding: base64\r\n"
	    "\r\n");
	put_base64(mail, attachment, sizeof(attachment));
	buf_puts(mail, "\r\n--cage--\r\n");
}

static int
canary_is_found(struct av *av, struct err *err)
{
	struct buf mail;
	struct err why = { .text = "called clean" };
	char found[AV_FOUND_MAX] = "";
	enum av_result result;

	buf_init(&mail, 4096);
	put_mail(&mail, av);
	result = av_scan(av, buf_slice(&mail), true, "message/rfc822", "", found, sizeof(found), &why);
	buf_free(&mail);
	if (result == AV_FOUND && slice_starts(slice_of(found), AV_CANARY_NAME))
		return 0;
	return err_set(err, "the antivirus does not find its canary: %s",
	    result == AV_FOUND || result == AV_LIMIT ? found : why.text);
}

/* Where no file can be made libclamav must complain through its callback, for that is all that
 * tells its "clean" from the true one. */
static int
failure_is_noticed(struct av *av, struct err *err)
{
	static const char harmless[] = "a text in which there is nothing to be found\r\n";
	struct buf nowhere;
	char found[AV_FOUND_MAX];
	enum av_result result = AV_CLEAN;
	int rc = 0;

	buf_init(&nowhere, 4096);
	buf_printf(&nowhere, "%s/no/such/place", av->tmp_dir);
	if (cl_engine_set_str(av->engine, CL_ENGINE_TMPDIR, buf_str(&nowhere)) == CL_SUCCESS)
		result = av_look(av, slice_of(harmless), false, "text/plain", "", found, sizeof(found), NULL);
	buf_free(&nowhere);
	if (result != AV_ERROR)
		rc = err_set(err, "the antivirus does not notice when it cannot write its temporary files");
	if (cl_engine_set_str(av->engine, CL_ENGINE_TMPDIR, av->tmp_dir) != CL_SUCCESS)
		rc = err_set(err, "cannot set the antivirus's temporary directory to %s", av->tmp_dir);
	return rc;
}

int
av_canary(struct av *av, struct err *err)
{
	if (canary_is_found(av, err) == -1)
		return -1;
	return failure_is_noticed(av, err);
}
