# Kept plain: no container engine was at hand to build it where it was written.
#
#   docker build -t llmproxy .
#   docker run -d --name llmproxy -p 8081:8081 -v llmproxy:/var/lib/llmproxy -e ANTHROPIC_API_KEY_FILE=/run/secrets/key \
#     -v /etc/llmproxy/container-key:/run/secrets/key:ro llmproxy
#
# The key's file must be readable to the image's user, 65532.
#
# The admin listener stays on loopback within the container, where the command line reaches it:
#   docker exec llmproxy llmproxy token create --workspace W --sandbox S
# To reach it from outside set LLMPROXY_ADMIN_ADDR=:8082 and LLMPROXY_ADMIN_TOKEN, publish the port to trusted networks only, and
# name the host under which it is called in LLMPROXY_ADMIN_HOSTS.
#
# Stopping takes up to LLMPROXY_DRAIN_LEAD_SECONDS and LLMPROXY_DRAIN_SECONDS together: docker stop -t 150.

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY . .
RUN npx -y deno@2.9.6 task compile

FROM debian:12-slim
# Certificate authorities are within the executable; private ones come by LLMPROXY_CA_FILE.
COPY --from=build /build/llmproxy /usr/local/bin/llmproxy
RUN install -d -m 0700 -o 65532 -g 65532 /var/lib/llmproxy
ENV LLMPROXY_DATA_DIR=/var/lib/llmproxy
USER 65532:65532
VOLUME /var/lib/llmproxy
EXPOSE 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/usr/local/bin/llmproxy", "health"]
# env holds stray signals back until the program handles them.
ENTRYPOINT ["/usr/bin/env", "--block-signal=HUP,USR1,USR2", "/usr/local/bin/llmproxy"]
CMD ["serve"]
