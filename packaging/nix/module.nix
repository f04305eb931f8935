# The NixOS module: the set-uid wrappers, or the mount service, or both.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.programs.go-fusermount;
  wrapper = {
    setuid = true;
    owner = "root";
    group = "root";
    source = "${cfg.package}/bin/fusermount3";
  };
in
{
  options.programs.go-fusermount = {
    enable = lib.mkEnableOption "fusermount3 in Go, in the place of libfuse's";
    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package with the programs.";
    };
    wrapper = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether fusermount3 gets a set-uid wrapper. Without one it asks the mount service.
      '';
    };
    service = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = ''
        Whether the mount service runs, for programs that no wrapper gives any rights: in
        containers, in sandboxes, and with no_new_privs. It needs Linux 6.11.
      '';
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        assertions = [
          {
            assertion = cfg.wrapper || cfg.service;
            message = "programs.go-fusermount needs a wrapper or the service: without both, users cannot mount";
          }
        ];
        environment.systemPackages = [ cfg.package ];
      }
      (lib.mkIf cfg.wrapper {
        security.wrappers.fusermount3 = lib.mkForce wrapper;
        security.wrappers.fusermount = lib.mkForce wrapper;
      })
      (lib.mkIf (!cfg.wrapper) {
        security.wrappers.fusermount3.enable = lib.mkForce false;
        security.wrappers.fusermount.enable = lib.mkForce false;
      })
      (lib.mkIf cfg.service {
        systemd.packages = [ cfg.package ];
        systemd.sockets.fusermountd.wantedBy = [ "sockets.target" ];
      })
    ]
  );
}
