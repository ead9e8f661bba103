// What a program does that wants an address, or the name of one: `resolve WORD...` prints what the C library says of each
// word, a line each, and fails where it says nothing.

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int name_of(const struct sockaddr *address, socklen_t length) {
    char name[1025];
    int error = getnameinfo(address, length, name, sizeof name, NULL, 0, NI_NAMEREQD);
    if (error) return error;
    puts(name);
    return 0;
}

static int addresses_of(const char *name) {
    struct addrinfo hints, *all, *one;
    memset(&hints, 0, sizeof hints);
    // Both families at once, and each address once.
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    int error = getaddrinfo(name, NULL, &hints, &all);
    if (error) return error;
    for (one = all; one; one = one->ai_next) {
        char text[1025];
        error = getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
        if (error) return error;
        puts(text);
    }
    freeaddrinfo(all);
    return 0;
}

int main(int count, char **words) {
    int failed = count < 2;
    for (int index = 1; index < count; index++) {
        struct sockaddr_in address;
        memset(&address, 0, sizeof address);
        address.sin_family = AF_INET;
        int error = inet_pton(AF_INET, words[index], &address.sin_addr) == 1
            ? name_of((const struct sockaddr *)&address, sizeof address)
            : addresses_of(words[index]);
        if (error) {
            fprintf(stderr, "%s: %s\n", words[index], gai_strerror(error));
            failed = 1;
        }
    }
    return failed;
}
