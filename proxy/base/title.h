/* title.h - what ps shows for this process: "gatepost: worker 1". */
#ifndef PROXY_BASE_TITLE_H
#define PROXY_BASE_TITLE_H

void title_init(int argc, char **argv);		/* once, first thing in main(): the room of argv becomes ours */
void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
